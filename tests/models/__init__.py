"""A trained model of width 8, quick beside the bundled one; see README.md."""

from pathlib import Path

SMALL_MODEL = Path(__file__).parent / "rrin-w8.onnx"
