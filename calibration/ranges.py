"""The ranges file: what `measure_ranges` found, as JSON that a person can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ArtifactError, InputNotFoundError
from runtime.files import replacing
from runtime.metadata import Metadata

FORMAT_VERSION = 1
RANGES_SUFFIX = ".ranges.json"
_MAX_BYTES = 64 * 2**20
_LARGEST = 1e30  # of a value; float32 holds a hundred million times as much

Method = Literal["max", "percentile"]
METHODS: tuple[Method, ...] = ("max", "percentile")


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of each channel of a tensor, float64 [C]; both finite."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Ranges:
    """Ranges of the hidden tensors of the four U-Nets.

    Attributes:
        checkpoint_sha256, align_corners: of the model they were measured on.
        method: 'max' for the extremes, 'percentile' for all but the outermost values.
        samples: how many triplets were run.
        seed: of their choice.
        data_sha256: of the names of all triplets that there were to choose from.
        tensors: by the module and operator that make them, such as Mask.midconv/LeakyRelu.
    """

    checkpoint_sha256: str
    align_corners: bool
    method: Method
    samples: int
    seed: int
    data_sha256: str
    tensors: Mapping[str, Range]

    def save(self, path: str | Path) -> None:
        """Write the file, a line for each tensor."""
        about = {"format_version": FORMAT_VERSION, **asdict(self)}
        del about["tensors"]
        lines = (
            f"    {json.dumps(name)}: "
            + json.dumps({"low": _rounded(value.low), "high": _rounded(value.high)})
            for name, value in self.tensors.items()
        )
        head = json.dumps(about, indent=2).removesuffix("\n}")
        with replacing(path) as partial:
            partial.write_text(head + ',\n  "tensors": {\n' + ",\n".join(lines) + "\n  }\n}\n")

    @classmethod
    def load(cls, path: str | Path) -> Ranges:
        """Read a ranges file.

        Raises:
            InputNotFoundError: there is no such file.
            ArtifactError: damaged, or of another format version.
        """
        path = Path(path)
        if not path.is_file():
            raise InputNotFoundError(
                f"{path}: no such file; measure the ranges that INT8 needs with: "
                "rrin-deploy calibrate MODEL --vimeo90k ROOT"
            )
        if path.stat().st_size > _MAX_BYTES:
            raise ArtifactError(f"{path}: has {path.stat().st_size} bytes; not a ranges file")
        try:
            content = json.loads(path.read_text())
            version = content.pop("format_version")
            if version != FORMAT_VERSION:
                raise ArtifactError(
                    f"{path}: has ranges format {version}; this version reads {FORMAT_VERSION}: "
                    "calibrate again"
                )
            return cls(**content | _typed(content))
        except ArtifactError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError,
                RecursionError) as error:  # fmt: skip
            raise ArtifactError(
                f"{path}: not a ranges file, or a damaged one ({type(error).__name__}: {error}); "
                "calibrate again"
            ) from error

    def check_model(self, metadata: Metadata, source: str) -> None:
        """Raise ArtifactError unless the ranges were measured on that model."""
        ours = self.checkpoint_sha256, self.align_corners
        theirs = metadata.checkpoint_sha256, metadata.align_corners
        if ours != theirs:
            shown = [
                f"{digest[:12]} (align_corners={corners})" for digest, corners in (ours, theirs)
            ]
            raise ArtifactError(
                f"{source}: measured on checkpoint {shown[0]}, but the model is {shown[1]}; "
                "calibrate this model, or name its ranges with --ranges"
            )


def ranges_beside(model: str | Path) -> Path:
    """Return where a model's ranges file lies: rrin.onnx has rrin.ranges.json."""
    return Path(model).with_suffix(RANGES_SUFFIX)


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _typed(content: Mapping[str, Any]) -> dict[str, Any]:
    if content["method"] not in METHODS:
        raise ValueError(f"method is {content['method']!r}, expected one of {METHODS}")
    for name in ("checkpoint_sha256", "data_sha256"):
        if not isinstance(content[name], str):
            raise TypeError(f"{name} is {content[name]!r}, expected text")
    if not isinstance(content["align_corners"], bool):
        raise ValueError(f"align_corners is {content['align_corners']!r}")
    tensors = {
        str(name): Range(np.array(value["low"], float), np.array(value["high"], float))
        for name, value in content["tensors"].items()
    }
    for name, value in tensors.items():
        low, high = value.low, value.high
        sound = low.ndim == 1 and low.shape == high.shape and low.size > 0
        if not sound or not (np.abs([low, high]) < _LARGEST).all():
            raise ValueError(f"{name} holds no finite ranges")
        if (low > high).any():
            raise ValueError(f"{name} has a low above its high")
    return {"tensors": tensors, "samples": int(content["samples"]), "seed": int(content["seed"])}
