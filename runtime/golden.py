"""The golden file: what the PyTorch reference makes of a few pairs, for machines without torch.

A .npz file whose `about.json` says what the arrays are, and of a built artifact also how far its
graph was from the reference when it was built.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from .architecture import padded
from .errors import ArtifactError, first_line
from .npz import member, read_array, write_array
from .options import MAX_SIDE, check_file
from .records import Between, Format, Matching, Sha256

FORMAT_VERSION = 3
SUFFIX = ".golden.npz"
MOST_DB = 200  # stands for equal frames
_ABOUT = "about.json"
ARTIFACT_SUFFIXES = (".onnx", ".engine")
_REMEDY = "export or build again"
_MAX_BYTES = 16 * 2**20  # packed or not; a file of ours holds less than 2 MiB
_MAX_VALUES = 2**21  # padded pixels of a pair, times its times: what a backend has to hold at once
_ARRAYS = {"frame0": np.uint8, "frame1": np.uint8, "t": np.float32, "frames": np.float32}


@dataclass(frozen=True)
class Measured:
    """How far an artifact's graph was from the reference when it was built, at one time.

    Attributes:
        max_abs_error: in units of the full range.
        psnr_db: `MOST_DB` where they were equal.
    """

    max_abs_error: Annotated[float, Between(0, 1)]
    psnr_db: Annotated[float, Between(0, MOST_DB)]


@dataclass(frozen=True)
class GoldenCase:
    """One pair and what the reference makes of it.

    Attributes:
        frame0, frame1: (H, W, 3) uint8.
        t: [T] float32 in (0, 1).
        frames: (T, H, W, 3) float32 in [0, 1], the reference's output for the frames over 255.
        reference_error: the largest difference of `frames` from what the reference gives in
            float64; 0 where that was not looked at.
        measured: for each time, of a built artifact; empty where nothing was measured.
    """

    frame0: NDArray[np.uint8]
    frame1: NDArray[np.uint8]
    t: NDArray[np.float32]
    frames: NDArray[np.float32]
    reference_error: float = 0.0
    measured: tuple[Measured, ...] = ()

    def check(self) -> None:
        """Raise ValueError unless a verdict can be built on this."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for name, array in arrays.items():
            if array.dtype != _ARRAYS[name]:
                raise ValueError(f"{name} is {array.dtype}, expected {np.dtype(_ARRAYS[name])}")
        shape = self.frame0.shape
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or self.frame1.shape != shape:
            raise ValueError(f"frames of {shape} and {self.frame1.shape}, expected one (H, W, 3)")
        if self.t.ndim != 1 or not len(self.t) or self.frames.shape != (len(self.t), *shape):
            raise ValueError(f"{self.t.shape} times and frames of {self.frames.shape}")
        if not ((self.t > 0) & (self.t < 1)).all():
            raise ValueError(f"times {self.t} outside (0, 1)")
        if not ((self.frames >= 0) & (self.frames <= 1)).all():
            raise ValueError("reference frames with NaN or values outside [0, 1]")
        if not 0 <= self.reference_error <= 1:
            raise ValueError(f"reference_error is {self.reference_error}, expected 0 to 1")
        if len(self.measured) not in (0, len(self.t)):
            raise ValueError(f"{len(self.measured)} measurements for {len(self.t)} times")


@dataclass(frozen=True)
class Golden:
    """Cases of one checkpoint under one `align_corners`.

    Attributes:
        measured_on: precision and runtime of the graph that was measured, such as 'int8 openvino';
            empty where none was.
        artifact_sha256: of the file that was built of that graph, the only one that the
            measurements judge; empty where none is known.
    """

    checkpoint_sha256: str
    align_corners: bool
    cases: tuple[GoldenCase, ...]
    measured_on: str = ""
    artifact_sha256: str = ""

    def check(self) -> None:
        """Raise ValueError unless a verdict can be built on every case."""
        for index, case in enumerate(self.cases):
            try:
                case.check()
            except ValueError as error:
                raise ValueError(f"case {index}: {error}") from error
            if bool(case.measured) != bool(self.measured_on):
                found = f"{len(case.measured)} measurements on {self.measured_on or 'nothing'}"
                raise ValueError(f"case {index}: {found}")

    def to_bytes(self) -> bytes:
        """Return the content of the file, a compressed .npz."""
        about = _About(
            checkpoint_sha256=self.checkpoint_sha256,
            align_corners=self.align_corners,
            measured_on=self.measured_on,
            artifact_sha256=self.artifact_sha256,
            cases=tuple(map(_about_case, self.cases)),
        )
        header = json.dumps(
            {"format_version": FORMAT_VERSION, **asdict(about)}, indent=1, allow_nan=False
        )
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            with member(archive, _ABOUT) as file:
                file.write(header.encode())
            for index, case in enumerate(self.cases):
                for name in _ARRAYS:
                    write_array(archive, _npy(name, index), getattr(case, name))
        return content.getvalue()

    @classmethod
    def load(cls, path: str | Path) -> Golden:
        """Read what `to_bytes` made; nothing in the file is executed.

        Raises:
            InputNotFoundError: there is no such file.
            ArtifactError: damaged, too large, or not a golden file of ours.
        """
        path = Path(path)
        check_file(path, "expected a golden file, which export and build write")
        try:
            return _load(path)
        except ArtifactError:
            raise
        except Exception as error:  # what was made to break zip readers breaks them in many ways
            raise ArtifactError(
                f"{path}: not a golden file, or a damaged one ({first_line(error)}); {_REMEDY}"
            ) from error


def golden_beside(artifact: str | Path) -> Path:
    """Return where an artifact's golden file lies: rrin.fp16.engine has rrin.fp16.golden.npz."""
    artifact = Path(artifact)
    name = artifact.stem if artifact.suffix.lower() in ARTIFACT_SUFFIXES else artifact.name
    return artifact.with_name(name + SUFFIX)


@dataclass(frozen=True)
class _AboutCase:
    width: Annotated[int, Between(1, MAX_SIDE)]
    height: Annotated[int, Between(1, MAX_SIDE)]
    times: Annotated[int, Between(1, 32)]
    reference_error: Annotated[float, Between(0, 1)]
    measured: Annotated[tuple[Measured, ...], Between(0, 32)]


@dataclass(frozen=True)
class _About:
    checkpoint_sha256: Sha256
    align_corners: bool
    measured_on: Annotated[
        str,
        Matching(
            "((fp32|fp16|bf16|int8) (tensorrt|onnxruntime|openvino))?", "a precision and a runtime"
        ),
    ]
    artifact_sha256: Annotated[str, Matching("([0-9a-f]{64})?", "a SHA-256 or nothing")]
    cases: Annotated[tuple[_AboutCase, ...], Between(1, 32)]


_FORMAT = Format(_About, "golden file", FORMAT_VERSION, _REMEDY, max_bytes=2**16)


def _about_case(case: GoldenCase) -> _AboutCase:
    height, width = case.frame0.shape[:2]
    return _AboutCase(width, height, len(case.t), case.reference_error, case.measured)


def _npy(name: str, index: int) -> str:
    return f"{name}_{index}.npy"


def _load(path: Path) -> Golden:
    packed = path.stat().st_size
    if packed > _MAX_BYTES:
        raise ArtifactError(f"{path}: has {packed} bytes; expected {_MAX_BYTES} at most")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > _MAX_BYTES:
            raise ArtifactError(
                f"{path}: unpacks to {unpacked} bytes; expected {_MAX_BYTES} at most"
            )
        kinds = {entry.compress_type for entry in entries}
        if not kinds <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ValueError(f"packed by methods {sorted(kinds)}, expected 0 and 8")
        with archive.open(_ABOUT) as file:
            about = _FORMAT.parse(file.read(_FORMAT.max_bytes + 1), path)
        cases = tuple(_read_case(archive, *case) for case in enumerate(about.cases))
    golden = Golden(
        about.checkpoint_sha256,
        about.align_corners,
        cases,
        about.measured_on,
        about.artifact_sha256,
    )
    golden.check()
    return golden


def _read_case(archive: zipfile.ZipFile, index: int, about: _AboutCase) -> GoldenCase:
    width, height = (padded(side) for side in (about.width, about.height))
    if width * height * about.times > _MAX_VALUES:
        raise ValueError(
            f"case {index} has {about.times} times of {about.width}x{about.height}, expected "
            f"{_MAX_VALUES} padded pixels in all at most"
        )
    frame, times = (about.height, about.width, 3), (about.times,)
    shapes = {"frame0": frame, "frame1": frame, "t": times, "frames": times + frame}
    arrays = {
        name: read_array(archive, _npy(name, index), shape, np.dtype(_ARRAYS[name]))
        for name, shape in shapes.items()
    }
    return GoldenCase(**arrays, reference_error=about.reference_error, measured=about.measured)
