"""What half or bfloat16 costs a model, by truth: every type rounded as the file says.

    python -m tests.half_rounding MODEL.onnx fp16|bf16 TRIPLETS …

prints for each folder of triplets the mean PSNR of the float32 graph and how much the other graph
differs from it. ONNX Runtime's CPU computes half by way of float32 and cannot show it; bfloat16 is
run only on CPUs that have it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibration import triplet_folders
from precision import load_with_precision
from rrin_deploy.evaluation import evaluate as judge
from rrin_deploy.evaluation import summarise
from runtime import Interpolator
from runtime.frames import cropped, from_output, to_input
from runtime.metadata import Precision, Runtime
from tests.evaluator import evaluate


def main(model: Path, precision: Precision, *folders: Path) -> None:
    runtime: Runtime = "openvino" if precision == "bf16" else "tensorrt"
    graph, metadata = load_with_precision(model, precision, None, runtime)
    proto = ir.to_proto(graph)

    def rounded(frame0: NDArray[np.uint8], frame1: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pair = to_input(frame0, metadata.io), to_input(frame1, metadata.io)
        height, width = pair[0].shape[1:3]
        given = {
            "frame0": pair[0], "frame1": pair[1], "t": np.array([0.5], np.float32),
            "window": np.array([0, 0, width, height], np.float32),
        }  # fmt: skip
        return from_output(cropped(evaluate(proto, given)["frames"], frame0), frame0)[0]

    with Interpolator(model) as plain:
        for folder in folders:
            cases = judge({"fp32": plain, precision: rounded}, triplet_folders(folder))
            whole, narrow = (summarise(cases, name, "fp32") for name in ("fp32", precision))
            change = narrow.psnr_to_first_db
            print(
                f"{folder.name}: {whole.triplets} triplets, {whole.psnr_db:.2f} dB, {change:+.4f}"
            )


if __name__ == "__main__":
    model, precision, *folders = sys.argv[1:]
    main(Path(model), precision, *map(Path, folders))  # type: ignore[arg-type]
