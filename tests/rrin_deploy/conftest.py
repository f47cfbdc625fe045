"""What tests of the command line need: the command itself, and a GPU that is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rrin_deploy.cli import main
from tests.simulation import cuda
from tests.simulation.machine import Machine

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in a folder of its own; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()  # what others printed
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        return int(stopped.value.code or 0), *capsys.readouterr()

    return run


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
