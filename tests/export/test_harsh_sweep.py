"""Graphs on many harsh networks, by every backend: a table of their errors beside PyTorch's own.

python -m pytest -m sweep -s tests/export/test_harsh_sweep.py

`before` is a plain export in ONNX Runtime: its own Sigmoid, and no 1e-8 in the blend.
"""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from calibration import measure_ranges, vimeo90k
from export import RRIN, Reference
from precision.conversion import with_precision
from precision.graph import load_graph
from runtime import Interpolator
from runtime.metadata import Precision
from runtime.parity import psnr_db
from tests.conftest import Exporter
from tests.evaluator import evaluate
from tests.harsh import TIMES, exact_and_own_error, harsh_network, inputs, pair, with_weights

pytestmark = pytest.mark.sweep
SEEDS = range(4)
Feeds = dict[str, np.ndarray]
Backend = Callable[[Feeds], np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def _table() -> None:
    print("\n| width | align_corners | io | T | backend | worst error | PyTorch's own | ", end="")
    print("least PSNR, dB | verdict | before |\n" + "|---" * 10 + "|")


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("width", [8, 32])
def test_sweep(
    width: int, align_corners: bool, exported: Exporter, vimeo: Path, tmp_path: Path
) -> None:
    rows: dict[tuple[str, str, int], list[Measured]] = defaultdict(list)
    for seed in SEEDS:
        network = harsh_network(width, align_corners=align_corners, seed=seed)
        for io in ("float32", "uint8"):
            source = exported(width, io, align_corners)
            file = with_weights(source, network, tmp_path / f"{io}.onnx")
            for key, measured in measure(file, network, io, vimeo).items():
                rows[(io, *key)].append(measured)
    failed = []
    for (io, count, backend), measured in rows.items():
        worst, own, before, psnr = np.array(measured).T
        limits = np.ones_like(own) if io == "uint8" else 3 * own
        seen = backend != "ONNX Runtime" or count == 1 or not (before <= limits).all()
        if backend.startswith("TensorRT"):
            passed, verdict = np.isfinite(worst).all(), "finite"
        else:
            passed, verdict = (worst <= limits).all(), "passed"  # NaN is below no limit
        cells = [width, align_corners, io, count, backend, f"{worst.max():.1e}"]
        cells += [f"{own.max():.1e}", f"{psnr.min():.1f}", verdict if passed else "FAILED"]
        cells += [f"{before.max():.1e}" if backend == "ONNX Runtime" else ""]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        if not (passed and seen):
            failed.append(cells)
    assert not failed


class Measured(NamedTuple):
    """Worst errors, of bytes in levels: a backend's, PyTorch's, a plain export's; and a PSNR."""

    worst: float
    own: float
    before: float
    psnr: float


def measure(file: Path, network: RRIN, io: str, vimeo: Path) -> dict[tuple[int, str], Measured]:
    """Return by number of times and backend what is measured on a file."""
    exact, own = exact_and_own_error(network)
    peak = 1
    if io == "uint8":
        peak, exact = 255, np.rint(exact * 255)
        own = _worst(Reference(network)(*pair(), TIMES), exact)
    plain = onnx_runtime(without_measures(file, file.with_suffix(".plain.onnx")))
    backends = {
        "ONNX Runtime": onnx_runtime(file),
        "OpenVINO": open_vino(file),
        "TensorRT graph, fp16": evaluated(file, "fp16"),
    }
    if io == "float32":
        backends["TensorRT graph, int8"] = evaluated(file, "int8", vimeo)
    measured = {}
    for times in (slice(None), slice(1, 2)):
        feeds, wanted = scene(io, times), exact[times]
        before = _worst(plain(feeds), wanted)
        for name, run in backends.items():
            made = run(feeds).astype(float)
            psnr = psnr_db(made / peak, wanted / peak)
            measured[len(wanted), name] = Measured(_worst(made, wanted), own, before, psnr)
    return measured


def scene(io: str, times: slice) -> Feeds:
    feeds = inputs()
    if io == "uint8":
        feeds["frame0"], feeds["frame1"] = (frame[None] for frame in pair())
    return feeds | {"t": feeds["t"][times]}


def onnx_runtime(file: Path) -> Backend:
    session = onnxruntime.InferenceSession(file)
    return lambda feeds: session.run(["frames"], feeds)[0]


def open_vino(file: Path) -> Backend:
    interpolate = Interpolator(file, backend="openvino")
    return lambda feeds: interpolate(feeds["frame0"][0], feeds["frame1"][0], feeds["t"])


def evaluated(file: Path, precision: Precision, vimeo: Path | None = None) -> Backend:
    ranges = measure_ranges(file, vimeo90k(vimeo, "train")) if vimeo else None
    model = ir.to_proto(with_precision(*load_graph(file), precision, ranges)[0])
    return lambda feeds: evaluate(model, feeds)["frames"]


def without_measures(file: Path, output: Path) -> Path:
    """Write the graph as a plain export has it."""
    model = onnx.load(file)
    makers = {name: node for node in model.graph.node for name in node.output}
    mask, blend = makers["mask"], makers["blend"]
    denominator = makers[mask.input[0]]
    exponential = makers[denominator.input[0]]
    negative = makers[exponential.input[0]]
    weights = makers[blend.input[1]]
    written_out = [negative.op_type, exponential.op_type, denominator.op_type, mask.op_type]
    assert written_out == ["Neg", "Exp", "Add", "Reciprocal"]
    assert weights.op_type == "Add"
    mask.op_type, mask.input[0] = "Sigmoid", negative.input[0]
    blend.input[1] = weights.input[0]
    for node in (negative, exponential, denominator, weights):
        model.graph.node.remove(node)
    unused = denominator.input[1], weights.input[1]
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in unused]:
        model.graph.initializer.remove(tensor)
    onnx.save(model, output)
    return output


def _worst(made: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(made - exact).max())
