"""Matplotlib's figures, without what it leaves behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Figure"]


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """Keep matplotlib, while it is imported, from leaving a list of fonts under the user's home."""
    if "MPLCONFIGDIR" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            yield
        finally:
            del os.environ["MPLCONFIGDIR"]


with _nothing_kept():
    from matplotlib.figure import Figure
