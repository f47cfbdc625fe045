"""What lies between two frames of a VapourSynth clip, and what the output's frames say of it."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from media.clips.frames import Picture
from media.clips.times import Place, Timeline
from runtime.cuts import CutDetector

# What lies behind a source frame, as a property that leaves with the output; see `kind_of`.
KIND = "_RrinKind"
MOTION, STILL, CUT = range(3)
_PREVIOUS, _NEXT = "_SceneChangePrev", "_SceneChangeNext"
_HALF = Fraction(1, 2)


def kind_of(frames: Sequence[Any], pictures: Sequence[Picture], detect: bool) -> int:
    """Return what lies between a frame and the next: motion, nothing, or a cut.

    Args:
        frames: of VapourSynth: the frame itself, the next one.
        pictures: of the same.
        detect: look for a cut where neither frame says that there is one.
    """
    frame, after = (picture.rgb for picture in pictures)
    if frames[0].props.get(_NEXT) or frames[1].props.get(_PREVIOUS):
        return CUT
    if detect and list(map(CutDetector(), (frame, after)))[1]:
        return CUT
    return STILL if np.array_equal(frame, after) else MOTION


def is_late(place: Place, kind: int) -> bool:
    """Say whether a frame of the output is of the scene that begins with the next source frame."""
    return kind == CUT and place.t >= _HALF


def says_cuts(frame: Any) -> bool:
    """Say whether a source frame says that there are cuts, or none, around it."""
    return _PREVIOUS in frame.props or _NEXT in frame.props


def tell_scene(
    props: MutableMapping[str, Any],
    number: int,
    places: Timeline,
    kinds: tuple[int, int],
) -> None:
    """Say of a frame of the output whether a scene begins with it or ends with it.

    Args:
        props: its properties, to be changed.
        number: of the frame.
        places: of the output.
        kinds: of what lies before the source frame that it comes after, and of what lies behind.
    """
    place = places.place(number)
    source, last = place.source, number + 1 == places.count
    before = places.place(number - 1) if number else None
    after = Place(places.frames, Fraction(0)) if last else places.place(number + 1)
    if is_late(place, kinds[1]):
        begins = before is None or before.source < source or before.t < _HALF
        ends = False
    else:
        left = before is not None and before.source < source
        repeated = before is not None and before.source == source - 1 and before.t >= _HALF
        begins = left and kinds[0] == CUT and not repeated
        ends = kinds[1] == CUT and (after.source > source or after.t >= _HALF)
    props[_PREVIOUS], props[_NEXT] = int(begins), int(ends)
