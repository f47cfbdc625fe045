"""The graph on many harsh networks: a table of its errors beside PyTorch's own.

python -m pytest -m sweep -s tests/export/test_harsh_sweep.py
"""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import openvino
import pytest

from precision.conversion import with_precision
from precision.graph import load_graph
from runtime import Interpolator
from tests.conftest import Exporter, unit
from tests.harsh import TIMES, exact_and_own_error, harsh_network, inputs, pair, with_weights

pytestmark = pytest.mark.sweep
T = np.array(TIMES, np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("width", [8, 32])
def test_sweep(
    width: int, align_corners: bool, seed: int, exported: Exporter, tmp_path: Path
) -> None:
    network = harsh_network(width, align_corners=align_corners, seed=seed)
    frames = pair()
    units = [unit(frame) for frame in frames]
    exact, own = exact_and_own_error(network)
    path = with_weights(exported(width, "float32", align_corners), network, tmp_path / "f.onnx")
    errors = {}
    with Interpolator(path) as interpolate:
        errors["onnxruntime, T=3"] = interpolate(*units, T) - exact
        errors["onnxruntime, T=1"] = interpolate(*units, float(T[1])) - exact[1]
    single = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    errors["openvino, T=3"] = single(inputs())[0] - exact
    half, _ = with_precision(*load_graph(path), "fp16")
    session = onnxruntime.InferenceSession(ir.to_proto(half).SerializeToString())
    halved = session.run(["frames"], inputs())[0]
    if width == 8:
        bytes_path = with_weights(exported(8, "uint8", align_corners), network, tmp_path / "b.onnx")
        with Interpolator(bytes_path) as interpolate:
            made = interpolate(*frames, T)
        off = np.abs(made.astype(int) - np.rint(exact * 255))
        print(f"\nuint8: worst {off.max():.0f} level, {(off == 0).mean():.3%} equal", end="")
        assert off.max() <= 1
    print(f"\nwidth {width}, align_corners {align_corners}, seed {seed}: PyTorch {own:.1e}", end="")
    for name, error in errors.items():
        worst = np.abs(error).max()
        print(f"; {name} {worst:.1e}", end="")
        assert worst <= 3 * own
    noise = float(np.mean(np.square(halved - exact)))
    print(f"; half {-10 * np.log10(noise):.1f} dB")
    assert np.isfinite(halved).all()
