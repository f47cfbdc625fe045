"""The filter graph that fills up a VapourSynth clip: which frames each stage takes and gives."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from media.clips.frames import Picture, duration_of, recent, write, write_planes
from media.clips.plugins import ClipBackend, Form, run_plugin
from media.clips.scenes import KIND, MOTION, STILL, kind_of, says_cuts, tell_scene
from media.clips.times import Timeline
from media.errors import MediaError
from media.schedule import PORTION
from runtime.errors import OptionError
from runtime.interpolator import Interpolator

_ROUNDED = Fraction(1, 4)  # of a frame's time
_PICTURES = 8  # kept of those converted: what a few threads work on at once


class ClipGraph:
    """The stages of a clip that is being filled up, and what they share.

    A stage is asked for frame n of the output, in any order and by several threads; `_at` gives it
    the source frames that this lies between.
    """

    def __init__(self, clip: Any, places: Timeline, cuts: bool) -> None:
        self._places, self._cuts = places, cuts
        self._place = lru_cache(maxsize=64)(places.place)
        self._picture = recent(_PICTURES, lambda _, frame: Picture.of(frame))
        self._source = self._marked(clip)
        rate = places.shown_rate or Fraction(0)
        self._blank = vs.core.std.BlankClip(
            clip, length=places.count, fpsnum=rate.numerator, fpsden=rate.denominator, keep=True
        )
        self._before, self._after = self._at(self._source, 0), self._at(self._source, 1)

    def _marked(self, clip: Any) -> Any:
        """Say of each frame what lies between it and the next: motion, nothing, or a cut."""
        last = clip.num_frames - 1

        def mark(n: int, f: list[Any]) -> Any:
            pair = [self._picture(number, frame) for number, frame in enumerate(f, n)]
            if n < last:
                self._check_rate(n, duration_of(f[0]))
            marked = f[0].copy()
            marked.props[KIND] = STILL if n == last else kind_of(f, pair, self._cuts)
            return marked

        return clip.std.ModifyFrame([clip, clip[1:] if last else clip], mark)

    def _check_rate(self, n: int, said: Fraction | None) -> None:
        """Raise MediaError for a frame that is shown for another time than its number was found by.

        Containers round, and so may it.
        """
        rate = None if self._places.starts or self._places.schedule.factor else self._places.rate
        if rate and said and abs(said * rate - 1) > _ROUNDED:
            raise MediaError(
                f"frame {n} is shown for {said} seconds, and the clip has {rate} frames a second: "
                "its rate varies; take a whole factor, or have its source filter make it constant"
            )

    def _at(self, clip: Any, offset: int) -> Any:
        """Return for each frame of the output the one of a clip by that many behind its place."""
        single = lru_cache(maxsize=64)(lambda number: clip[number])
        last = clip.num_frames - 1

        def pick(n: int) -> Any:
            return single(min(max(self._place(n).source + offset, 0), last))

        blank = self._like(clip)
        return blank.std.FrameEval(pick, clip_src=[clip])

    def _like(self, clip: Any) -> Any:
        """Return a clip of the output's length, of another one's format."""
        return self._blank.std.BlankClip(format=clip.format.id, keep=True)

    def by_runtime(self, interpolate: Interpolator) -> Any:
        """Return the clip of the frames that our own runtime makes."""

        def portion(key: tuple[int, int], pair: list[Picture]) -> dict[Fraction, NDArray[Any]]:
            times = self._places.times(key[0])[key[1] : key[1] + PORTION]
            made = interpolate(pair[0].rgb, pair[1].rgb, [float(t) for t in times])
            return dict(zip(times, made, strict=True))

        portions = recent(2, portion)

        def make(n: int, f: list[Any]) -> Any:
            place = self._place(n)
            pair = self._pair(n, f)
            index = self._places.times(place.source).index(place.t)
            made = portions((place.source, index - index % PORTION), pair)
            return self._written(n, f, made[place.t])

        return self._blank.std.ModifyFrame([self._before, self._after], make)

    def by_plugin(self, form: Form, backend: ClipBackend) -> Any:
        """Return the clip of the frames that a plugin of vs-mlrt makes."""
        if form.factor not in (None, self._places.schedule.factor):
            raise OptionError(
                f"{form.path} is for factor {form.factor} alone; take that, or a file that was "
                "built without --factor"
            )
        planes = self._planes()
        if form.factor:
            after = planes[1:] + planes[-1] if planes.num_frames > 1 else planes
            several = run_plugin(vs.core, form, backend, [planes, after])
            made = vs.core.std.Interleave([planes, *several])
        else:
            pair = [self._at(planes, 0), self._at(planes, 1)]
            (made,) = run_plugin(vs.core, form, backend, [*pair, self._times(planes)])
        if self._source.format.id == vs.RGBS:
            return made.std.CopyFrameProps(self._before)

        def back(n: int, f: list[Any]) -> Any:
            rgb = np.stack([np.asarray(f[2][plane]) for plane in range(3)], axis=-1)
            if self._pair(n, f)[0].rgb.dtype == np.uint8:
                rgb = np.rint(rgb * np.float32(255)).astype(np.uint8)
            return self._written(n, f, rgb)

        return self._blank.std.ModifyFrame([self._before, self._after, made], back)

    def _planes(self) -> Any:
        """Return the source as the network takes it, RGBS in [0, 1]."""
        source = self._source
        if source.format.id == vs.RGBS:
            return source.std.Expr("x 0 max 1 min")
        blank = source.std.BlankClip(format=vs.RGBS, keep=True)

        def convert(n: int, f: list[Any]) -> Any:
            planes = f[0].copy()
            write_planes(planes, self._picture(n, f[1]).rgb)
            return planes

        return blank.std.ModifyFrame([blank, source], convert)

    def _times(self, planes: Any) -> Any:
        """Return a clip whose frames are all of the time between theirs, as one grey."""
        blank = self._like(planes).std.BlankClip(format=vs.GRAYS, keep=True)
        grey = lru_cache(maxsize=64)(lambda t: blank.std.BlankClip(color=float(t), keep=True))
        return blank.std.FrameEval(lambda n: grey(self._place(n).t))

    def _pair(self, n: int, f: list[Any]) -> list[Picture]:
        source = self._place(n).source
        return [self._picture(source, f[0]), self._picture(source + 1, f[1])]

    def _written(self, n: int, f: list[Any], rgb: NDArray[Any]) -> Any:
        made = f[0].copy()
        write(made, rgb, float(self._place(n).t), *self._pair(n, f))
        return made

    def chosen(self, made: Any) -> Any:
        """Return the output: of each frame what is to be shown, with properties of its own."""

        def choose(n: int, f: Any) -> Any:
            t = self._place(n).t
            if t and f.props[KIND] == MOTION:
                return made
            return self._after if t >= Fraction(1, 2) else self._before

        shown = self._blank.std.FrameEval(
            choose, prop_src=[self._before], clip_src=[self._before, self._after, made]
        )
        earlier = self._at(self._source, -1)
        return self._blank.std.ModifyFrame([shown, self._before, earlier], self._finished)

    def _finished(self, n: int, f: list[Any]) -> Any:
        """Give a frame of the output its duration, and say where scenes begin and end."""
        chosen, before, earlier = f
        kinds = earlier.props[KIND] if self._place(n).source else STILL, before.props[KIND]
        finished = chosen.copy()
        del finished.props[KIND]
        rate = self._places.rate
        duration = self._places.duration(duration_of(before) or (rate and 1 / rate))
        if duration is not None:
            finished.props["_DurationNum"] = duration.numerator
            finished.props["_DurationDen"] = duration.denominator
        if self._cuts or says_cuts(before):
            tell_scene(finished.props, n, self._places, kinds)
        return finished
