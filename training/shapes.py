"""Outlines that layers are cut along: discs, boxes, stars, bars, letters, tickers."""

from __future__ import annotations

import math
import string

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Outline = NDArray[np.uint8]  # (h, w) alpha

_FINE = 3  # kinds from this on are thin things and letters


def outlines(rng: Generator, count: int, canvas: int) -> tuple[Outline, NDArray[np.bool_]]:
    """Draw shapes of many sizes in the middle of a square canvas.

    Returns:
        [count, canvas, canvas] alpha, and which of them are thin things or letters.
    """
    drawn, kinds = [], rng.integers(0, 5, count)
    for kind in kinds:
        side = min(canvas - 4, max(20, int(rng.uniform(0.25, 1) * canvas)))
        image = Image.new("L", (canvas, canvas))
        shape = _shape(rng, int(kind), side)
        image.paste(shape, ((canvas - shape.width) // 2, (canvas - shape.height) // 2))
        if rng.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 2))))
        drawn.append(np.asarray(image))
    return np.stack(drawn), kinds >= _FINE


def tickers(rng: Generator, count: int, width: int, height: int) -> Outline:
    """Draw lines of text, [count, height, width] alpha."""
    drawn = []
    for _ in range(count):
        image = Image.new("L", (width, height))
        size = float(rng.uniform(9, 0.8 * height))
        _write(rng, ImageDraw.Draw(image), width, height // 2, size)
        drawn.append(np.asarray(image))
    return np.stack(drawn)


def _shape(rng: Generator, kind: int, side: int) -> Image.Image:
    image = Image.new("L", (side, side))
    draw, last = ImageDraw.Draw(image), side - 1
    if kind == 0:
        draw.ellipse((0, 0, last, last), fill=255)
    elif kind == 1:
        draw.rectangle((0, 0, last, int(last * rng.uniform(0.3, 1))), fill=255)
    elif kind == 2:
        draw.polygon(_star(rng, side), fill=255)
    elif kind == _FINE:  # a fence, a grille, spokes
        thick = int(rng.integers(1, 7))
        for x in range(0, side, int(thick * rng.uniform(2, 5)) + 1):
            draw.rectangle((x, 0, x + thick - 1, last), fill=255)
    else:
        _write(rng, draw, side, side, float(rng.uniform(9, 40)))
    return image.rotate(90) if rng.random() < 0.3 else image


def _star(rng: Generator, side: int) -> list[tuple[float, float]]:
    angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(5, 14)))
    radii = rng.uniform(0.4, 1, len(angles))
    return [
        (side / 2 * (1 + radius * math.cos(angle)), side / 2 * (1 + radius * math.sin(angle)))
        for angle, radius in zip(angles, radii, strict=True)
    ]


def _write(rng: Generator, draw: ImageDraw.ImageDraw, width: int, height: int, size: float) -> None:
    font = ImageFont.load_default(size)
    letters = np.array([*string.ascii_letters, *string.digits, *"    .,"])
    line = int(draw.textbbox((0, 0), "Mg", font=font)[3])
    for y in range(0, max(1, height - line), line + 2):
        text = "".join(rng.choice(letters, max(3, 3 * width // line)))
        draw.text((0, y), text, fill=255, font=font)
