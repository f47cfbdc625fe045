"""Random scenes: pieces of pictures, shapes, bars, text and overlays, that move near and far."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from training.motion import Motion
from training.scene import Layer

Picture = NDArray[np.uint8]  # (H, W, 3) RGB

# Shares of scenes, and how far what moves in them goes between the frames, pixels: what neighbours
# show, what fast action does, and what is seldom seen but looks worst where it is not followed.
_SHARES = (0.3, 0.35, 0.3, 0.05)
_REACHES = ((0.0, 4.0), (2.0, 14.0), (10.0, 60.0), (60.0, 100.0))


def draw_layers(rng: Generator, stills: Sequence[Picture], size: int) -> list[Layer]:
    """Return a scene for square frames of `size` pixels, the lowest layer first."""
    reach = _REACHES[int(rng.choice(len(_REACHES), p=_SHARES))]
    steady = rng.random() < 0.3
    layers = [_background(rng, stills, size, _motion(rng, size, (0, 2) if steady else reach))]
    for _ in range(rng.integers(0, 4)):
        still = rng.random() < 0.2
        motion = Motion(_place(rng, size)) if still else _motion(rng, size, reach)
        layers.append(_object(rng, stills, size, motion))
    if rng.random() < 0.15:
        layers.append(_ticker(rng, size))
    if rng.random() < 0.1:
        layers.append(_letterbox(rng, size))
    return layers


def _place(rng: Generator, size: int) -> tuple[float, float]:
    return float(rng.uniform(0.15, 0.85) * size), float(rng.uniform(0.15, 0.85) * size)


def _motion(rng: Generator, size: int, reach: tuple[float, float]) -> Motion:
    direction, distance = rng.uniform(0, 2 * math.pi), rng.uniform(*reach)

    def changing(spread: float, change: float) -> tuple[float, float]:
        return float(rng.uniform(-spread, spread)), float(rng.normal(0, change) * rng.integers(2))

    return Motion(
        centre=_place(rng, size),
        shift=(distance * math.cos(direction), distance * math.sin(direction)),
        angle=changing(0.5, 0.05),
        log_scale=changing(0.35, 0.04),
        shear=changing(0.15, 0.02),
    )


def _cut(rng: Generator, stills: Sequence[Picture], width: int, height: int) -> Picture:
    still = stills[int(rng.integers(len(stills)))]
    tall, wide = still.shape[:2]
    height, width = min(height, tall), min(width, wide)
    y, x = rng.integers(0, tall - height + 1), rng.integers(0, wide - width + 1)
    piece: Picture = still[y : y + height, x : x + width]
    return piece[:, ::-1] if rng.random() < 0.5 else piece


def _layer(colours: Picture, alpha: Image.Image, motion: Motion) -> Layer:
    planes = np.concatenate([colours, np.asarray(alpha)[..., None]], axis=-1)
    return Layer(_planes(planes), motion)


def _planes(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255


def _background(rng: Generator, stills: Sequence[Picture], size: int, motion: Motion) -> Layer:
    picture = _planes(_cut(rng, stills, 3 * size, 3 * size))
    return Layer(torch.cat([picture, torch.ones_like(picture[:1])]), motion, endless=True)


def _object(rng: Generator, stills: Sequence[Picture], size: int, motion: Motion) -> Layer:
    side = max(24, int(rng.uniform(0.2, 0.7) * size))
    colours = _cut(rng, stills, side, side)
    height, width = colours.shape[:2]
    alpha = Image.new("L", (width, height))
    draw = ImageDraw.Draw(alpha)
    kind = rng.integers(5)
    if kind == 0:
        draw.ellipse((2, 2, width - 3, height - 3), fill=255)
    elif kind == 1:
        draw.rectangle((2, 2, width - 3, int(height * rng.uniform(0.3, 1)) - 3), fill=255)
    elif kind == 2:
        draw.polygon(_star(rng, width, height), fill=255)
    elif kind == 3:  # a fence, a grille, spokes
        thick = int(rng.integers(1, 7))
        for x in range(2, width - 2, int(thick * rng.uniform(2, 5)) + 1):
            draw.rectangle((x, 2, min(x + thick - 1, width - 3), height - 3), fill=255)
    else:
        _write(rng, draw, width, height)
    if kind >= 3 and rng.random() < 0.7:  # thin things and letters are often of one colour
        colours = np.broadcast_to(_colour(rng), colours.shape)
    if rng.random() < 0.5:
        alpha = alpha.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 2))))
    return _layer(colours, alpha, motion)


def _star(rng: Generator, width: int, height: int) -> list[tuple[float, float]]:
    angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(5, 14)))
    radii = rng.uniform(0.4, 0.98, len(angles))
    return [
        (width / 2 * (1 + radius * math.cos(angle)), height / 2 * (1 + radius * math.sin(angle)))
        for angle, radius in zip(angles, radii, strict=True)
    ]


def _colour(rng: Generator) -> Picture:
    return rng.integers(0, 256, 3).astype(np.uint8)


def _write(rng: Generator, draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    font = ImageFont.load_default(float(rng.uniform(9, 40)))
    letters = np.array([*string.ascii_letters, *string.digits, *"    .,"])
    line = int(draw.textbbox((0, 0), "Mg", font=font)[3])
    for y in range(1, max(2, height - line), line + 2):
        text = "".join(rng.choice(letters, max(3, 2 * width // line)))
        draw.text((2, y), text, fill=255, font=font)


def _ticker(rng: Generator, size: int) -> Layer:
    """A line of text that crawls along an edge, over what goes on behind it."""
    tall = int(rng.integers(12, 41))
    alpha = Image.new("L", (3 * size, tall + 10))
    _write(rng, ImageDraw.Draw(alpha), 3 * size, tall)
    colours = np.broadcast_to(_colour(rng), (tall + 10, 3 * size, 3))
    y = tall if rng.random() < 0.5 else size - tall
    speed = float(rng.uniform(2, 40) * rng.choice([-1, 1]))
    return _layer(colours, alpha, Motion((size / 2, float(y)), (speed, 0.0)))


def _letterbox(rng: Generator, size: int) -> Layer:
    bar = int(rng.uniform(0.05, 0.2) * size)
    alpha = Image.new("L", (size, size), 255)
    ImageDraw.Draw(alpha).rectangle((0, bar, size - 1, size - 1 - bar), fill=0)
    middle = (size - 1) / 2
    return _layer(np.zeros((size, size, 3), np.uint8), alpha, Motion((middle, middle)))
