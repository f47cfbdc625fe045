"""How far models follow: a textured layer, moved by 5 to 40 pixels over a background that stays.

    python -m tests.large_motion PICTURES A.pth B.pth …

cuts layers out of the pictures in a folder, which none of the models should have been trained on,
and prints for each distance the PSNR around the layer of the plain average and of each model, and
the end-point error of each model's flow on the layer. It writes large-motion.png: text that crawls
by at 8 pixels a frame, as it is, averaged, and as each model makes it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from export import RRIN, load_checkpoint
from runtime.parity import psnr_db
from tests.layers import moving, opaque, picture_of
from training import read_stills
from training.losses import as_read
from training.scene import Layer, displacement, pixels, view

WIDTH, HEIGHT, WIDE, TALL = 448, 256, 140, 110  # of the frames and of the layer
DISTANCES, SCENES, MARGIN = (5, 10, 20, 40), 8, 10
POINTS, WINDOW = pixels(HEIGHT, WIDTH), torch.tensor([0.0, 0, WIDTH, HEIGHT])
HALF = torch.tensor([0.5])


def piece(still: np.ndarray, rng: np.random.Generator, height: int, width: int) -> Tensor:
    y, x = (
        int(rng.integers(0, have - want + 1))
        for have, want in zip(still.shape[:2], (height, width), strict=True)
    )
    return opaque(picture_of(still[y : y + height, x : x + width]))


def judged(
    layers: list[Layer], networks: Mapping[str, RRIN], box: tuple[slice, slice]
) -> dict[str, tuple[float, float]]:
    """PSNR in a box, and end-point error on the second layer, of the average and of each model."""
    start, end = torch.zeros(1), torch.ones(1)
    frame0, middle, frame1 = (
        (255 * view(layers, POINTS, time).frame).round() / 255 for time in (start, HALF, end)
    )
    top = view(layers, POINTS, HALF).top
    flow = torch.cat([displacement(layers, POINTS, top, HALF, to) for to in (start, end)], 1)
    of_box, on_layer = (slice(None), slice(None), *box), top[0] == 1

    def of(made: Tensor, found: Tensor, wanted: Tensor) -> tuple[float, float]:
        ends = (found - wanted).reshape(2, 2, HEIGHT, WIDTH).square().sum(1).sqrt()
        levels = (255 * made[of_box]).round() / 255
        quality = psnr_db(levels.numpy(), middle[of_box].numpy())
        return quality, float(ends[:, on_layer].mean())

    results = {"average": of((frame0 + frame1) / 2, torch.zeros_like(flow), flow)}
    for name, network in networks.items():
        with torch.inference_mode():
            stages = network.stages(frame0, frame1, HALF, WINDOW)
        results[name] = of(
            stages.frames, stages.flow, as_read(flow, align_corners=network.align_corners)
        )
    return results


def crawl(still: np.ndarray, networks: Mapping[str, RRIN]) -> Image.Image:
    """Text that goes 8 pixels from one given frame to the next, one below the other."""
    alpha = Image.new("L", (WIDTH + 100, 40))
    text = "The quick brown fox jumps over the lazy dog, 1234567890"
    ImageDraw.Draw(alpha).text((10, 6), text, fill=255, font=ImageFont.load_default(20))
    mask = torch.from_numpy(np.array(alpha))[None, None] / 255
    layers = [
        Layer(
            piece(still, np.random.default_rng(0), HEIGHT, WIDTH),
            moving(((WIDTH - 1) / 2, (HEIGHT - 1) / 2)),
            endless=True,
        ),
        Layer(
            torch.cat([torch.ones_like(mask).expand(-1, 3, -1, -1), mask], 1),
            moving((WIDTH / 2, 225.5), shift=(8, 0)),
        ),
    ]
    frames = [view(layers, POINTS, torch.tensor([time])).frame for time in (0.0, 0.5, 1.0)]
    shown = [frames[1], (frames[0] + frames[2]) / 2]
    with torch.inference_mode():
        shown += [
            network.stages(frames[0], frames[2], HALF, WINDOW).frames
            for network in networks.values()
        ]
    strip = torch.cat([each[0, :, 200:] for each in shown], 1)
    return Image.fromarray((255 * strip).round().byte().permute(1, 2, 0).numpy())


def main(pictures: str, *checkpoints: str) -> None:
    stills = [
        still
        for still in read_stills(pictures)
        if still.shape[0] >= HEIGHT and still.shape[1] >= WIDTH
    ]
    networks = {Path(path).stem: load_checkpoint(path) for path in checkpoints}
    for distance in DISTANCES:
        rng, found = np.random.default_rng(distance), []
        for _ in range(SCENES):
            below, above = rng.choice(len(stills), 2, replace=False)
            x, y = int(rng.integers(100, WIDTH - 100)), int(rng.integers(70, HEIGHT - 70))
            layers = [
                Layer(
                    piece(stills[below], rng, HEIGHT, WIDTH),
                    moving(((WIDTH - 1) / 2, (HEIGHT - 1) / 2)),
                    endless=True,
                ),
                Layer(
                    piece(stills[above], rng, TALL, WIDE),
                    moving((x + 0.5, y + 0.5), shift=(distance, 0)),
                ),
            ]
            box = (
                slice(y - TALL // 2 - MARGIN, y + TALL // 2 + MARGIN),
                slice(
                    max(0, x - (WIDE + distance) // 2 - MARGIN), x + (WIDE + distance) // 2 + MARGIN
                ),
            )
            found.append(judged(layers, networks, box))
        for name in found[0]:
            quality, apart = np.mean([each[name] for each in found], axis=0)
            print(f"{distance:3} px  {name:24} {quality:6.2f} dB  end-point error {apart:6.2f} px")
    crawl(stills[0], networks).save("large-motion.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
