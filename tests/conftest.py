"""What many tests need: the small model's checkpoint, a full-width twin, exports made once."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from filelock import FileLock

from calibration import measure_ranges, vimeo90k
from export import RRIN, export_onnx, load_checkpoint
from media.images.stills import Still, write_still
from precision import Ranges
from runtime import Interpolator
from runtime.golden import golden_beside
from runtime.metadata import Metadata
from runtime.scene import render_bytes
from runtime.signals import ENDING
from tests.harsh import set_weights
from tests.models import SMALL_MODEL

ROOT = Path(__file__).parents[1]


def pytest_configure() -> None:
    # A worker of several, and each process that it starts, keeps to its share of the cores.
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    threads = max(1, (os.cpu_count() or 1) // workers)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    # Tests send these to processes, which inherit what nohup or a shell's & ignores.
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)


def pytest_collection_finish() -> None:
    # What is imported by now stays, and tests that collect garbage need not search it each time.
    gc.freeze()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real clips; tests that read it are skipped where none is named."""
    if "RRIN_DATA" not in os.environ:
        pytest.skip("RRIN_DATA names no folder of real clips, see CONTRIBUTING.md")
    return Path(os.environ["RRIN_DATA"])


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model's weights as a checkpoint of ours, read back out of its ONNX file."""
    path = tmp_path_factory.mktemp("small") / "rrin-w8.pth"
    write_checkpoint(path)
    return path


def write_checkpoint(path: Path) -> None:
    graph = onnx.load(SMALL_MODEL).graph
    state = {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
        if tensor.name.split(".")[0] in ("Flow_L", "refine_flow", "Mask", "final")
    }
    torch.save({"state_dict": state, "align_corners": False}, path)


@pytest.fixture(scope="session")
def full_width_checkpoint(small_checkpoint: Path) -> Path:
    """The small model at width 32: the same function but for 1 % of noise on the weights."""
    path = small_checkpoint.with_name("rrin-w32.pth")
    network = load_checkpoint(small_checkpoint)
    state = widened(network.state_dict(), 4)
    torch.save({"state_dict": state, "align_corners": False}, path)
    return path


def widened(state: dict[str, torch.Tensor], times: int) -> dict[str, torch.Tensor]:
    """Repeat every hidden channel, divide its outgoing weights, add 1 % of seeded noise."""
    generator = torch.Generator().manual_seed(0)
    wide = {}
    for key, tensor in state.items():
        if not key.rpartition(".")[0].endswith(".last"):
            tensor = tensor.repeat_interleave(times, dim=0)
        if tensor.ndim == 4 and not key.endswith("down_path.0.block.0.weight"):
            tensor = tensor.repeat_interleave(times, dim=1) / times
        noise = torch.randn(tensor.shape, generator=generator)
        wide[key] = tensor * (1 + 0.01 * noise)
    return wide


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers share, for what takes long and is made once."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


Exporter = Callable[..., Path]


@pytest.fixture(scope="session")
def exported(shared: Path, small_checkpoint: Path, full_width_checkpoint: Path) -> Exporter:
    """Export once for each combination of width, io and align_corners that tests ask for."""

    def export(width: int = 8, io: str = "float32", align_corners: bool = False) -> Path:
        path = shared / f"w{width}-{io}-{align_corners}.onnx"
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                make(path, width, io, align_corners)
        return path

    def make(path: Path, width: int, io: str, align_corners: bool) -> None:
        if (width, io, align_corners) == (8, "uint8", False):
            from tests.readme import outcome

            made = outcome(0, shared).folder / "rrin.onnx"  # the README's first command
            shutil.copy(golden_beside(made), golden_beside(path))
            shutil.copy(made, path)
            return
        if (width, io, align_corners) == (8, "float32", False):
            # `test_the_small_model_is_what_export_makes` holds it to a new one.
            shutil.copy(golden_beside(SMALL_MODEL), golden_beside(path))
            shutil.copy(SMALL_MODEL, path)
            return
        checkpoint = small_checkpoint if width == 8 else full_width_checkpoint
        export_onnx(checkpoint, path, io=io, align_corners=align_corners)

    return export


@pytest.fixture
def skip_tracing(exported: Exporter, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let `export_onnx` start from a graph traced before, for tests of what it does with a graph:
    PyTorch's tracing takes half a minute and knows nothing of the weights."""

    def skip(io: str = "float32", align_corners: bool = False) -> None:
        traced = exported(8, io, align_corners)

        def graph(network: RRIN, metadata: Metadata) -> onnx.ModelProto:
            assert (metadata.io, metadata.align_corners) == (io, align_corners)
            model = onnx.load(traced)
            set_weights(model, network)
            onnx.helper.set_model_props(model, metadata.to_properties())
            return model

        monkeypatch.setattr("export.graph._graph", graph)

    return skip


@pytest.fixture(scope="session")
def small_network(small_checkpoint: Path) -> RRIN:
    return load_checkpoint(small_checkpoint)


@pytest.fixture(scope="session")
def interpolate() -> Iterator[Interpolator]:
    """The small model."""
    with Interpolator(SMALL_MODEL, backend="onnxruntime") as interpolator:
        yield interpolator


@pytest.fixture(autouse=True)
def _fresh_seed() -> None:
    torch.manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest first, or it runs alone at the end while the other cores wait.
    items.sort(key=lambda item: item.path.name != "test_readme.py")
    marked = [item for item in items if {"needs_gpu", "needs_no_gpu"} & set(item.keywords)]
    if not marked:
        return
    # As an engine would find it, and in another process, for the simulated one comes later.
    code = "from runtime.device import compute_capability; compute_capability(0)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    there, insisted = found.returncode == 0, os.environ.get("RRIN_REQUIRE_GPU") == "1"
    why = (found.stderr.strip().splitlines() or [""])[-1]
    for item in marked:
        if "needs_gpu" in item.keywords and not there and not insisted:
            item.add_marker(pytest.mark.skip(reason=f"{why}; RRIN_REQUIRE_GPU=1 to insist"))
        if "needs_no_gpu" in item.keywords and there:
            item.add_marker(pytest.mark.skip(reason="a GPU is here, and engines run on it"))


def write_png(path: Path, frame: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_still(path, Still(frame, None, grey=False))


@pytest.fixture(scope="session")
def vimeo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Triplets of the procedural scene in Vimeo90K's layout: three to train on, one to test."""
    root = tmp_path_factory.mktemp("vimeo_triplet")
    write_vimeo(root)
    return root


def write_vimeo(root: Path) -> None:
    names = [f"00001/{index:04}" for index in range(1, 5)]
    for start, name in enumerate(names):
        for index in (1, 2, 3):
            frame = render_bytes(128, 96, 3 * start + (index - 1) / 2)
            write_png(root / "sequences" / name / f"im{index}.png", frame)
    (root / "tri_trainlist.txt").write_text("\n".join(names[:3]) + "\n")
    (root / "tri_testlist.txt").write_text(names[3] + "\n")


@pytest.fixture(scope="session")
def ranges(vimeo: Path) -> Ranges:
    """The small model's, measured on the scene."""
    return measure_ranges(SMALL_MODEL, vimeo90k(vimeo, "train"))


def unit(frame: np.ndarray) -> np.ndarray:
    """uint8 frames as float32 in [0, 1]."""
    return frame.astype(np.float32) / np.float32(255)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let PyTorch compute in one thread, as several wait for each other beside other tests."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
