"""The ONNX file: RRIN's graph with its inputs, names and metadata, checked against PyTorch."""

from __future__ import annotations

import contextlib
import hashlib
import io as text_io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import onnx
import torch
from torch import Tensor, nn

from export.checkpoint import load_checkpoint
from export.network import RRIN, Stages
from export.reference import make_golden
from runtime.architecture import PADDING_MULTIPLE
from runtime.errors import OptionError, RrinError
from runtime.golden import golden_beside
from runtime.interpolator import Interpolator
from runtime.metadata import OPSET, Io, Metadata
from runtime.options import check_choice, check_flag, check_path
from runtime.parity import judge
from runtime.publishing import Publication
from runtime.verdicts import ParityReport

STAGES = ("flow", "warped0", "warped1", "mask", "blend")
_TRACED_SIZE = (64, 96)  # height, width; unequal, so that no dimension is taken for the other


class ParityError(RrinError, RuntimeError):
    """The exported graph does not give what the PyTorch module gives; nothing was written."""


@dataclass(frozen=True)
class ExportReport:
    """What `export_onnx` wrote, and how far it is from PyTorch; see `RRIN` on what was assumed."""

    model: Path
    golden: Path
    metadata: Metadata
    parity: ParityReport
    align_corners_assumed: bool


def export_onnx(
    checkpoint: str | Path,
    output: str | Path = "rrin.onnx",
    *,
    io: Io = "uint8",
    align_corners: bool | None = None,
) -> ExportReport:
    """Export a checkpoint to ONNX, with the golden file of the PyTorch reference beside it.

    Both are written only after ONNX Runtime has given the reference's outputs with the new graph.

    Graph inputs: frame0, frame1 [1, H, W, 3], H and W multiples of 32; t float32 [T] in (0, 1);
    window float32 [4] = (x0, y0, W, H), where these frames lie in the whole padded frame, pixels.
    Output: frames [T, H, W, 3]. The values `STAGES` keep their names inside.

    Args:
        checkpoint: any form that `load_checkpoint` takes.
        output: the ONNX file, *.onnx; the golden file is named after it.
        io: dtype of the frames; float32 values lie in [0, 1].
        align_corners: overrides what the checkpoint says.

    Raises:
        InputNotFoundError, CheckpointError: see `load_checkpoint`.
        ParityError: the graph and the module disagree.
        BackendError: onnxruntime is not installed.
        OutputError: see `Publication`.
        OptionError: an argument that is not as above.
    """
    check_path("checkpoint", checkpoint, "pretrained_model.pth.tar")
    check_path("output", output, "rrin.onnx")
    check_choice("io", io, get_args(Io))
    if align_corners is not None:
        check_flag("align_corners", align_corners)
    checkpoint, output = Path(checkpoint), Path(output)
    if output.suffix != ".onnx":
        raise OptionError(f"{output}: the graph is ONNX; give a name that ends in .onnx")
    if output.resolve() == checkpoint.resolve():
        raise OptionError(f"{output}: is the checkpoint as well; choose another output")
    # Held through the work, so that what could not be written is refused before it.
    with Publication(output, golden_beside(output)) as outputs:
        return _export(checkpoint, output, outputs, io, align_corners)


def _export(
    checkpoint: Path, output: Path, outputs: Publication, io: Io, align_corners: bool | None
) -> ExportReport:
    network = load_checkpoint(checkpoint, align_corners=align_corners)
    metadata = Metadata(
        checkpoint_sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        base_width=network.base_width,
        align_corners=network.align_corners,
        padding_multiple=PADDING_MULTIPLE,
        io=io,
        precision="fp32",
        opset=OPSET,
        producer=f"rrin-deploy export; torch {torch.__version__}, onnx {onnx.__version__}",
    )
    golden = make_golden(network, metadata.checkpoint_sha256)
    model_file, golden_file = outputs.paths
    onnx.save(_graph(network, metadata), model_file)
    with Interpolator(model_file) as interpolate:
        report = judge(interpolate, golden, str(output))
    if not report.passed:
        raise ParityError(
            f"{output}: not written: beside PyTorch the graph in {report.backend} has "
            f"{report.worst.failure}; please report this"
        )
    golden_file.write_bytes(golden.to_bytes())
    return ExportReport(
        output, golden_beside(output), metadata, report, network.align_corners_assumed
    )


class DeployedRRIN(nn.Module):
    """RRIN with the graph's inputs and outputs: channels last, and bytes where asked for."""

    def __init__(self, network: RRIN, io: Io) -> None:
        super().__init__()
        self.network = network
        self._io = io

    def forward(
        self, frame0: Tensor, frame1: Tensor, t: Tensor, window: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the frames, [T, H, W, 3] of the graph's dtype, and what `STAGES` names."""
        stages: Stages = self.network.stages(self._planes(frame0), self._planes(frame1), t, window)
        frames = stages.frames
        if self._io == "uint8":
            # TensorRT wants the casts at the very edge: float first, bytes last.
            frames = (frames * 255).round().permute(0, 2, 3, 1).to(torch.uint8)
        else:
            frames = frames.permute(0, 2, 3, 1)
        return frames, *stages[:-1]

    def _planes(self, frame: Tensor) -> Tensor:
        if self._io == "uint8":
            return frame.float().permute(0, 3, 1, 2) / 255
        return frame.permute(0, 3, 1, 2)


def _graph(network: RRIN, metadata: Metadata) -> onnx.ModelProto:
    from export.tidying import tidied  # onnx_ir, which the network alone does not need

    height, width = _TRACED_SIZE
    # Two distinct tensors: one passed twice would be taken for one input.
    frame0, frame1 = (torch.rand(1, height, width, 3) for _ in range(2))
    if metadata.io == "uint8":
        frame0, frame1 = ((frame * 255).to(torch.uint8) for frame in (frame0, frame1))
    t = torch.tensor([0.3, 0.6])
    window = torch.tensor([0.0, 0.0, width, height])
    rows, columns = (PADDING_MULTIPLE * torch.export.Dim(name, min=1) for name in ("h", "w"))
    frame_shape = {1: rows, 2: columns}
    with _quiet():
        program = torch.onnx.export(
            DeployedRRIN(network, metadata.io).eval(),
            (frame0, frame1, t, window),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frame0", "frame1", "t", "window"],
            output_names=["frames", *STAGES],
            dynamic_shapes=(frame_shape, frame_shape, {0: torch.export.Dim("T", min=1)}, None),
            verbose=False,
        )
    model = cast(torch.onnx.ONNXProgram, program).model
    proto = tidied(model, metadata.to_properties())
    onnx.checker.check_model(proto, full_check=True)
    return proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter about itself from the terminal; errors still come through."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(text_io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
