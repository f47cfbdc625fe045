"""A checkpoint of your own: exported, held against PyTorch, and judged by true middle frames.

python examples/judge_checkpoint.py CHECKPOINT TRIPLETS OUTPUT.onnx

TRIPLETS holds folders of im1, im2 and im3, im2 being the true middle frame.
"""

import sys

from calibration import triplet_folders
from export import Reference, export_onnx, load_checkpoint
from rrin_deploy.evaluation import AVERAGE, evaluate, summarise
from runtime import Interpolator, check_parity


def main(checkpoint: str, triplets: str, output: str) -> int:
    """Return 0 if the ONNX file gives PyTorch's frames, else 1; print the quality of both."""
    report = export_onnx(checkpoint, output)
    if report.align_corners_assumed:
        print("align_corners is assumed: the checkpoint does not say; see the README")
    # Export has done this; an engine, or an INT8 file, is checked in the same way.
    parity = check_parity(output)
    worst = parity.worst
    print(f"parity: {parity.passed}, {worst.max_abs_error:.1e} at most in {parity.backend}")
    network = Reference(load_checkpoint(checkpoint))
    with Interpolator(output) as interpolate:
        contenders = {"PyTorch": network, "ONNX": interpolate}
        cases = evaluate(contenders, triplet_folders(triplets))
    for name in (*contenders, AVERAGE):
        mean = summarise(cases, name, "PyTorch")
        print(f"{name}: {mean.psnr_db:.2f} dB, SSIM {mean.ssim:.4f}")
    return 0 if parity.passed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
