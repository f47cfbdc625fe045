"""A procedural scene with known motion, so that any time between two frames has a true frame.

Closed form: a textured background that pans, and a textured disc that crosses it and turns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PAN = (3.0, -1.2)  # background, pixels per unit of time (x, y)
_CROSSING = (-3.0, 2.0)  # disc, pixels per unit of time (x, y)
_TURN = 0.03  # disc, radians per unit of time
_WAVES = 16  # sinusoids in a pattern
# Base, blotches and shading, RGB in [0, 1].
_LAND = np.array([[0.09, 0.24, 0.30], [0.93, 0.86, 0.66], [0.18, 0.42, 0.28]])
_BALL = np.array([[0.55, 0.10, 0.08], [0.98, 0.93, 0.85], [0.95, 0.62, 0.18]])


def render(height: int, width: int, time: float) -> NDArray[np.float32]:
    """Render the scene at any time; between two frames one unit apart things move 1 to 4 pixels.

    Args:
        height, width: pixels.
        time: any real number; the scene moves on for ever, linearly.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    background = _texture(x - _PAN[0] * time, y - _PAN[1] * time, _LAND, seed=1)

    radius = 0.3 * min(height, width)
    dx = x - (0.62 * width + _CROSSING[0] * time)
    dy = y - (0.42 * height + _CROSSING[1] * time)
    cos, sin = np.cos(_TURN * time), np.sin(_TURN * time)
    disc = _texture(cos * dx + sin * dy, cos * dy - sin * dx, _BALL, seed=2)

    # A soft edge of two pixels, as a lens would give.
    cover = np.clip((radius - np.hypot(dx, dy)) / 2 + 0.5, 0, 1)[..., np.newaxis]
    scene: NDArray[np.float64] = cover * disc + (1 - cover) * background
    return scene.astype(np.float32)


def render_bytes(width: int, height: int, time: float) -> NDArray[np.uint8]:
    """Render the scene as (H, W, 3) uint8."""
    return np.rint(render(height, width, time) * 255).astype(np.uint8)


def _texture(
    x: NDArray[np.float64], y: NDArray[np.float64], colours: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Blotches of the second colour on the first, shaded with the third."""
    random = np.random.default_rng(seed)
    blotches = 1 / (1 + np.exp(-8 * _waves(x, y, random, 14, 110)))
    shading = 0.5 / (1 + np.exp(-3 * _waves(x, y, random, 40, 300)))
    base, blotch, shade = colours
    texture: NDArray[np.float64] = base + blotches[..., np.newaxis] * (blotch - base)
    texture += shading[..., np.newaxis] * (shade - texture)
    return texture


def _waves(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    random: np.random.Generator,
    shortest: float,
    longest: float,
) -> NDArray[np.float64]:
    """Sum sinusoids in all directions, wavelengths in pixels; about 1 in size."""
    total = np.zeros_like(x)
    lengths = np.geomspace(shortest, longest, _WAVES)
    strengths = np.sqrt(lengths / lengths.sum() * 2)
    for length, strength in zip(lengths, strengths, strict=True):
        angle, phase = random.uniform(0, 2 * np.pi, 2)
        along = np.cos(angle) * x + np.sin(angle) * y
        total += strength * np.sin(2 * np.pi / length * along + phase)
    return total
