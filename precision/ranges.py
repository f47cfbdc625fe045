"""The ranges file: what `measure_ranges` found, as JSON that a person can read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ArtifactError
from runtime.metadata import Metadata
from runtime.options import check_file
from runtime.publishing import Publication
from runtime.records import Between, Format, Sha256, typed

FORMAT_VERSION = 1
RANGES_SUFFIX = ".ranges.json"
_LARGEST = 1e30  # of a value; float32 holds a hundred million times as much

Method = Literal["max", "percentile"]
METHODS: tuple[Method, ...] = ("max", "percentile")


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of each channel of a tensor, float64 [C]; both finite."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def from_json(cls, value: object) -> Range:
        """Read lists of numbers; ValueError where they are no ranges."""
        stored = typed(_Lists, value)
        low, high = _channels(stored.low), _channels(stored.high)
        if low.shape != high.shape or not (np.abs([low, high]) < _LARGEST).all():
            raise ValueError("holds no finite ranges")
        if (low > high).any():
            raise ValueError("has a low above its high")
        return cls(low, high)


@dataclass(frozen=True)
class _Lists:
    low: Any
    high: Any


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

    checkpoint_sha256: Sha256
    align_corners: bool
    method: Method
    samples: Annotated[int, Between(1, 10**9)]
    seed: Annotated[int, Between(0, math.inf)]
    data_sha256: Sha256
    tensors: Mapping[str, Range]

    def save(self, path: str | Path) -> None:
        """Write the file."""
        Publication(path).write(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what the file holds, a line for each tensor."""
        about = {"format_version": FORMAT_VERSION, **asdict(self)}
        del about["tensors"]
        lines = (
            f"    {json.dumps(name)}: "
            + json.dumps(
                {"low": _rounded(value.low), "high": _rounded(value.high)}, allow_nan=False
            )
            for name, value in self.tensors.items()
        )
        head = json.dumps(about, indent=2, allow_nan=False).removesuffix("\n}")
        text = head + ',\n  "tensors": {\n' + ",\n".join(lines) + "\n  }\n}\n"
        return text.encode()

    @classmethod
    def load(cls, path: str | Path) -> Ranges:
        """Read a ranges file.

        Raises:
            InputNotFoundError: there is no such file.
            ArtifactError: damaged, or of another format version.
        """
        path = Path(path)
        check_file(
            path, "int8 needs the ranges of the model's activations: calibrate the model first"
        )
        return _FORMAT.read(path)

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
                "calibrate this model, or name its own ranges file"
            )


_FORMAT = Format(Ranges, "ranges file", FORMAT_VERSION, "calibrate again", max_bytes=8 * 2**20)


def ranges_beside(model: str | Path) -> Path:
    """Return where a model's ranges file lies: rrin.onnx has rrin.ranges.json."""
    return Path(model).with_suffix(RANGES_SUFFIX)


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _channels(values: object) -> NDArray[np.float64]:
    if not isinstance(values, list) or not values or not set(map(type, values)) <= {int, float}:
        raise ValueError("holds no finite ranges")
    return np.array(values, np.float64)
