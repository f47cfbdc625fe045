"""Choices of INT8 tried on triplets: what each loses against float32, by the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from calibration.datasets import Frames, Sample
from calibration.motion import motion_of
from precision.conversion import with_precision
from precision.graph import check_float32, load_graph
from precision.ranges import Ranges
from runtime.installation import is_installed
from runtime.interpolator import Interpolator
from runtime.metadata import Runtime
from runtime.parity import psnr_db

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judged:
    """A triplet, and what float32 makes of it.

    Attributes:
        motion: mean absolute difference of its inputs, 8-bit levels.
        psnr_db: of the float32 model's frame to the truth; infinite where they are equal.
    """

    sample: Sample
    motion: float
    psnr_db: float


class Trials:
    """A model put in INT8 in many ways, each run on the CPU by what its layout is for.

    Args:
        model: a float32 file.
        ranges: measured on it.
        runtime: what INT8 is laid out for; ONNX Runtime runs what OpenVINO does not.
        folder: where the files that are run are written.
        progress: called with the runs done and with those that are known to come.
    """

    def __init__(
        self,
        model: Path,
        ranges: Ranges,
        runtime: Runtime,
        folder: Path,
        progress: Progress | None,
    ) -> None:
        graph, self.metadata = load_graph(model)
        check_float32(self.metadata, str(model))
        self._model, self._ranges, self._runtime = model, ranges, runtime
        self._proto = ir.to_proto(graph)
        self._file = folder / "trial.onnx"
        self._where: dict[str, Any] = {"providers": ["CPUExecutionProvider"]}
        if runtime == "openvino" and is_installed("openvino"):
            self._where = {"backend": "openvino"}
        self._progress = progress
        self._done = self._to_come = 0

    def expect(self, runs: int) -> None:
        """Count runs as still to come."""
        self._to_come += runs

    def judge(self, triplets: Sequence[Sample]) -> list[Judged]:
        """Run the float32 model."""
        judged = []
        with Interpolator(self._model, **self._where) as interpolate:
            for sample in triplets:
                frames = sample.read()
                psnr = self._psnr(interpolate, frames)
                judged.append(Judged(sample, motion_of(frames), psnr))
        return judged

    def losses(self, judged: Sequence[Judged], kept_float: Collection[str]) -> list[float]:
        """Run INT8 with these blocks in float; return the PSNR lost on each triplet, dB.

        NaN where float32's frame or this one is the truth to the last bit.
        """
        model, _ = with_precision(
            ir.from_proto(self._proto),
            self.metadata,
            "int8",
            self._ranges,
            self._runtime,
            kept_float=kept_float,
        )
        self._file.write_bytes(ir.to_proto(model).SerializeToString())
        losses = []
        with Interpolator(self._file, **self._where) as interpolate:
            for each in judged:
                psnr = self._psnr(interpolate, each.sample.read())
                exact = float("inf") in (psnr, each.psnr_db)
                losses.append(float("nan") if exact else each.psnr_db - psnr)
        return losses

    def _psnr(self, interpolate: Interpolator, frames: Frames) -> float:
        made = interpolate(frames.frame0, frames.frame1)
        self._done += 1
        self._to_come = max(0, self._to_come - 1)
        if self._progress:
            self._progress(self._done, self._done + self._to_come)
        return psnr_db(made / 255, frames.truth / 255)
