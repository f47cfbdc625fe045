"""PyTorch RRIN, its checkpoints, and the ONNX file made from them."""

from export.checkpoint import load_checkpoint
from export.comparison import LiveComparison, StageDifference, compare, compare_stages
from export.graph import ExportReport, ParityError, export_onnx
from export.network import RRIN, Stages
from export.reference import Reference, make_golden
from runtime.errors import CheckpointError

__all__ = [
    "RRIN",
    "CheckpointError",
    "ExportReport",
    "LiveComparison",
    "ParityError",
    "Reference",
    "StageDifference",
    "Stages",
    "compare",
    "compare_stages",
    "export_onnx",
    "load_checkpoint",
    "make_golden",
]
