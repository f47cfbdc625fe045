"""The golden file: what the PyTorch reference makes of a few pairs, for machines without torch."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtifactError, InputNotFoundError
from .files import replacing

FORMAT_VERSION = 1
SUFFIX = ".golden.npz"
_MAX_BYTES = 64 * 2**20  # unpacked; a file of ours holds less than 2 MiB
_ARTIFACT_SUFFIXES = r"(\.(fp32|fp16|int8))?(\.engine)?\.(onnx|engine)$"
_DAMAGED = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class GoldenCase:
    """One pair and what the reference makes of it.

    Attributes:
        frame0, frame1: (H, W, 3) uint8.
        t: [T] float32 in (0, 1).
        frames: (T, H, W, 3) float32 in [0, 1], the reference's output for the frames over 255.
    """

    frame0: NDArray[np.uint8]
    frame1: NDArray[np.uint8]
    t: NDArray[np.float32]
    frames: NDArray[np.float32]


@dataclass(frozen=True)
class Golden:
    """Cases of one checkpoint under one `align_corners`."""

    checkpoint_sha256: str
    align_corners: bool
    cases: tuple[GoldenCase, ...]

    def save(self, path: str | Path) -> None:
        """Write a compressed .npz file."""
        about = {
            "format_version": FORMAT_VERSION,
            "checkpoint_sha256": self.checkpoint_sha256,
            "align_corners": self.align_corners,
            "cases": len(self.cases),
        }
        arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
        for index, case in enumerate(self.cases):
            arrays |= {f"{name}_{index}": array for name, array in vars(case).items()}
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Golden:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            InputNotFoundError: there is no such file.
            ArtifactError: damaged, too large, or not a golden file of ours.
        """
        path = Path(path)
        if not path.is_file():
            raise InputNotFoundError(
                f"{path}: no such golden file; rrin-deploy export writes it beside the model"
            )
        try:
            return _load(path)
        except ArtifactError:
            raise
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            EOFError,
            RuntimeError,
            *_DAMAGED,
        ) as error:
            raise ArtifactError(
                f"{path}: not a golden file, or a damaged one ({error}); export it again"
            ) from error


def golden_beside(artifact: str | Path) -> Path:
    """Return where an artifact's golden file lies: rrin.onnx and rrin.fp16.engine share one."""
    artifact = Path(artifact)
    return artifact.with_name(re.sub(_ARTIFACT_SUFFIXES, "", artifact.name) + SUFFIX)


def _load(path: Path) -> Golden:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MAX_BYTES:
        raise ArtifactError(f"{path}: unpacks to {size} bytes; expected {_MAX_BYTES} at most")
    with np.load(path, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        if about["format_version"] != FORMAT_VERSION:
            raise ArtifactError(
                f"{path}: has golden format {about['format_version']}; "
                f"this runtime reads {FORMAT_VERSION}: export it again"
            )
        cases = tuple(_case(arrays, index) for index in range(about["cases"]))
    return Golden(str(about["checkpoint_sha256"]), bool(about["align_corners"]), cases)


def _case(arrays: Any, index: int) -> GoldenCase:
    case = GoldenCase(*(arrays[f"{name}_{index}"] for name in ("frame0", "frame1", "t", "frames")))
    expected = (*case.t.shape, *case.frame0.shape)
    dtypes = [array.dtype for array in (case.frame0, case.frame1, case.t, case.frames)]
    if dtypes != [np.uint8, np.uint8, np.float32, np.float32] or not len(case.t):
        raise ValueError(f"case {index} holds {dtypes}")
    if case.frames.shape != expected or case.frame1.shape != case.frame0.shape:
        raise ValueError(f"case {index} is of unequal shapes")
    if not ((case.t > 0) & (case.t < 1)).all():
        raise ValueError(f"case {index} has times {case.t} outside (0, 1)")
    return case
