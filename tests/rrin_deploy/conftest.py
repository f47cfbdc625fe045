"""What tests of the command line need: a GPU that is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.simulation import cuda
from tests.simulation.machine import Machine


@pytest.fixture
def simulated_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU of SM89 with 1 GiB."""
    for name, module in cuda.modules(Machine()).items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in cuda.ON_DRIVER:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield
    for name in cuda.ON_DRIVER:
        sys.modules.pop(name, None)
