"""What runs in which type: the exported graph in half, or in INT8 by measured ranges."""

from precision.conversion import load_with_precision, with_precision
from precision.graph import load_graph
from precision.ranges import Range, Ranges

__all__ = ["Range", "Ranges", "load_graph", "load_with_precision", "with_precision"]
