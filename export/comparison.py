"""Where an ONNX file and PyTorch begin to differ: their intermediate tensors, side by side."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch

from export.checkpoint import load_checkpoint
from export.graph import STAGES
from export.network import RRIN
from export.reference import make_golden, planes_of
from runtime.backends import BackendName
from runtime.errors import ArtifactError
from runtime.frames import to_input
from runtime.graph_check import read_checked
from runtime.interpolator import Interpolator
from runtime.manifest import is_engine
from runtime.options import check_path, check_sizes
from runtime.parity import judge
from runtime.scene import render_bytes
from runtime.verdicts import ParityReport

if TYPE_CHECKING:
    from runtime.onnxruntime_session import OnnxRuntimeSession

_TIMES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class StageDifference:
    """One intermediate tensor at one size.

    Attributes:
        stage: a name in `Stages`, in the order of computation.
        width, height: of the frames, pixels.
        max_abs_error, mean_abs_error: of the values that are finite in both, pixels for the flow,
            else units of [0, 1].
        largest: the greatest finite absolute value in the reference's tensor, in the same unit.
        not_finite: how many values are NaN or infinite in either.
    """

    stage: str
    width: int
    height: int
    max_abs_error: float
    mean_abs_error: float
    largest: float
    not_finite: int


@dataclass(frozen=True)
class LiveComparison:
    """What `compare` found.

    Attributes:
        report: the verdict on the frames.
        stages: where the difference begins; empty for an engine, which keeps no stages.
        notes: what the user should know of the pair that was compared.
    """

    report: ParityReport
    stages: list[StageDifference]
    notes: list[str]


def compare(
    artifact: str | Path,
    checkpoint: str | Path,
    sizes: Sequence[tuple[int, int]],
    *,
    max_error: float | None = None,
    min_psnr: float | None = None,
    backend: BackendName | None = None,
    device: int | str | None = None,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    trusted: bool = False,
) -> LiveComparison:
    """Run an artifact and PyTorch on the procedural scene, and judge the one by the other.

    Args:
        artifact: an ONNX file or an engine.
        checkpoint: the reference's weights; it runs with the artifact's `align_corners`.
        sizes: (width, height) of the pairs, pixels.
        max_error, min_psnr, backend, device, threads, providers, trusted: as for
            `runtime.check_parity`.

    Raises:
        ArtifactError, BackendError, CheckpointError, InputNotFoundError, OptionError.
    """
    check_path("artifact", artifact, "rrin.onnx")
    check_sizes("sizes", sizes)
    network, notes = load_checkpoint(checkpoint), []
    with Interpolator(
        artifact, backend=backend, device=device, threads=threads, providers=providers,
        trusted=trusted,
    ) as interpolate:  # fmt: skip
        about = interpolate.metadata
        assumed, network.align_corners = network.align_corners, about.align_corners
        golden = make_golden(network, about.checkpoint_sha256, sizes)
        report = judge(interpolate, golden, str(artifact), max_error=max_error, min_psnr=min_psnr)
    if hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest() != about.checkpoint_sha256:
        notes.append("the artifact was exported from another checkpoint file")
    if assumed != about.align_corners:
        notes.append(
            f"the artifact has align_corners={about.align_corners}, against what the checkpoint "
            "says; PyTorch ran as the artifact"
        )
    stages = [] if is_engine(artifact) else compare_stages(artifact, network, sizes)
    return LiveComparison(replace(report, reference="PyTorch, live"), stages, notes)


def compare_stages(
    artifact: str | Path, network: RRIN, sizes: Sequence[tuple[int, int]]
) -> list[StageDifference]:
    """Run an ONNX file and the reference on the procedural scene and compare every stage.

    Args:
        artifact: an ONNX file that `export_onnx` wrote; it runs in ONNX Runtime on the CPU.
        network: the reference.
        sizes: (width, height) of the pairs, pixels.

    Raises:
        ArtifactError: the file is damaged, or does not keep the stages' names.
        OptionError: no sizes, or one that is not as above.
    """
    # Who trains, or loads a checkpoint, may lack it.
    from runtime.onnxruntime_session import OnnxRuntimeSession

    check_sizes("sizes", sizes)
    with tempfile.TemporaryDirectory() as folder:
        opened = Path(folder) / "stages.onnx"
        onnx.save(_with_stage_outputs(Path(artifact)), opened)
        with closing(
            OnnxRuntimeSession(opened, *read_checked(opened), providers=["CPUExecutionProvider"])
        ) as session:
            return [
                difference
                for width, height in sizes
                for difference in _differences(session, network, width, height)
            ]


def _with_stage_outputs(artifact: Path) -> onnx.ModelProto:
    model = onnx.load_model_from_string(read_checked(artifact)[0])
    known = {name for node in model.graph.node for name in node.output}
    missing = [stage for stage in STAGES if stage not in known]
    if missing:
        raise ArtifactError(
            f"{artifact}: has no value named {', '.join(missing)}; "
            "stages can be compared on a file as it was exported"
        )
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(stage, onnx.TensorProto.FLOAT, None) for stage in STAGES
    )
    return model


def _differences(
    session: OnnxRuntimeSession, network: RRIN, width: int, height: int
) -> Iterator[StageDifference]:
    frame0, frame1 = (render_bytes(width, height, time) for time in (0, 1))
    t = np.array(_TIMES, np.float32)
    planes = planes_of(frame0), planes_of(frame1)
    padded = planes[0].shape
    window = np.array([0, 0, padded[3], padded[2]], np.float32)
    with torch.inference_mode():
        expected = network.stages(*planes, torch.from_numpy(t), torch.from_numpy(window))
    io = session.metadata.io
    found = session.run(
        {
            "frame0": to_input(frame0, io),
            "frame1": to_input(frame1, io),
            "t": t,
            "window": window,
        }
    )
    for stage in STAGES:
        reference = getattr(expected, stage).numpy()
        finite = np.isfinite(reference) & np.isfinite(found[stage])
        error = np.abs(np.where(finite, found[stage] - reference, 0))
        yield StageDifference(
            stage=stage,
            width=width,
            height=height,
            max_abs_error=float(error.max()),
            mean_abs_error=float(error.mean(where=finite)) if finite.any() else 0.0,
            largest=float(np.abs(np.where(np.isfinite(reference), reference, 0)).max()),
            not_finite=int(np.count_nonzero(~finite)),
        )
