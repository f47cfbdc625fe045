"""What half costs a model: its FP16 graph with every type rounded as the file says, against truth.

    python -m tests.half_rounding MODEL.onnx TRIPLETS …

prints for each folder of triplets the mean PSNR of the float32 graph and how much the FP16 graph
differs from it. ONNX Runtime's CPU computes half by way of float32 and cannot show it.
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
from tests.evaluator import evaluate


def main(model: Path, *folders: Path) -> None:
    graph, metadata = load_with_precision(model, "fp16", None)
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
            cases = judge({"fp32": plain, "fp16": rounded}, triplet_folders(folder))
            whole, half = (summarise(cases, name, "fp32") for name in ("fp32", "fp16"))
            change = half.psnr_to_first_db
            print(
                f"{folder.name}: {whole.triplets} triplets, {whole.psnr_db:.2f} dB, {change:+.4f}"
            )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
