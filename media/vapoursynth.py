"""Interpolation of VapourSynth clips, in scripts for vspipe, editors and mpv. Needs VapourSynth.

from media.vapoursynth import rrin

clip = rrin(clip, factor=2)
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from media.clip_frames import Picture, check_format, recent, write, write_planes
from media.clip_plugins import ClipBackend, Form, check_backend, form_of, run_plugin
from media.clip_scenes import KIND, MOTION, STILL, kind_of, says_cuts, tell_scene
from media.clip_times import Timeline, timeline
from media.errors import MediaError
from media.schedule import PORTION, Number
from runtime.errors import OptionError, shown
from runtime.interpolator import Interpolator
from runtime.manifest import is_engine
from runtime.options import check_flag

_ROUNDED = Fraction(1, 4)  # of a frame's time
_PICTURES = 8  # kept of those converted: what a few threads work on at once


def rrin(
    clip: Any,
    factor: Number | None = None,
    fps: Number | None = None,
    model: str | Path | Interpolator | None = None,
    backend: ClipBackend = "auto",
    cuts: bool = True,
) -> Any:
    """Return a clip with frames made between those of another, as `interpolate_video` makes them.

    Source frames pass as they are. Made ones have their format, colours and properties, and what
    RGB cannot hold of a YUV source is added to them again. At cuts, and between equal frames, the
    nearer one is repeated; so is the last one until the end.

    Args:
        clip: RGB24, RGBH, RGBS, or YUV of 8 to 16 bits, of one size and format, progressive. Its
            rate may vary: each frame's `_DurationNum` and `_DurationDen` say how long it is shown.
        factor: times the clip's frame rate, 2 where neither this nor `fps` is given. A whole one
            divides each frame's time, so that a rate that varies stays as variable as it is.
        fps: frames a second, constant. Where the clip's own rate varies, all of it is read first,
            as for a factor that is not whole.
        model: a file of `build --target vs-mlrt`, for a plugin of vs-mlrt; or one of `export` or
            `build`, for our own runtime, where None takes the bundled model; or an interpolator
            that is open already, to choose its options, and stays so as long as the clip.
            Where vs-mlrt's ov is installed, which brings an OpenVINO that excludes ours, a path or
            None is run by ONNX Runtime.
        backend: 'auto' takes what the file is for, and of vs-mlrt's plugins the first that opens it
            here: ort with CUDA, ov, ort on the CPU; else 'runtime', 'ort' or 'ov'.
        cuts: look for scene cuts. Those that the clip says itself, by `_SceneChangeNext` and
            `_SceneChangePrev`, count in any case.

    Returns:
        The clip; its frames have `_DurationNum`, `_DurationDen`, and where cuts are known
        `_SceneChangeNext` and `_SceneChangePrev`, of their own.

    Raises:
        InputNotFoundError, ArtifactError, BackendError: see `Interpolator`; or no plugin is here
            that runs the file.
        OptionError: what is not as above; see `Schedule.of` for `factor` and `fps`; or a file for
            another factor.
        MediaError: a frame does not say how long it is shown, and the clip has no rate either.
    """
    if not isinstance(clip, vs.VideoNode):
        raise OptionError(f"clip is {shown(clip)}; expected a video clip of VapourSynth")
    check_flag("cuts", cuts)
    check_format(clip.format if clip.width else None)
    if factor is None and fps is None:
        factor = 2
    form = form_of(Path(model)) if isinstance(model, (str, Path)) else None
    check_backend(backend, form)
    rate = Fraction(clip.fps) or None
    chosen = timeline(clip.num_frames, rate, lambda: _durations(clip), factor=factor, fps=fps)
    filled = _Clip(clip, chosen, cuts)
    if form:
        made = filled.by_plugin(form, backend)
    else:
        made = filled.by_runtime(model if isinstance(model, Interpolator) else _opened(model))
    return filled.chosen(made)


def _opened(model: str | Path | None) -> Interpolator:
    # vs-mlrt's ov brings an OpenVINO of its own, beside which Python's does not load.
    beside = hasattr(vs.core, "ov") and not (model and is_engine(model))
    return Interpolator(model, backend="onnxruntime" if beside else None)


def _durations(clip: Any) -> list[Fraction]:
    """Read how long each frame is shown, seconds."""
    durations = []
    for number, frame in enumerate(clip.frames(close=True)):
        if (said := _said(frame)) is None:
            raise MediaError(
                f"frame {number} does not say how long it is shown (_DurationNum, _DurationDen), "
                "and the clip has no rate; give it one with AssumeFPS"
            )
        durations.append(said)
    return durations


def _said(frame: Any) -> Fraction | None:
    """Return how long a frame says that it is shown, seconds."""
    over, under = (frame.props.get(f"_Duration{part}", 0) for part in ("Num", "Den"))
    return Fraction(over, under) if over > 0 and under > 0 else None


class _Clip:
    """A clip that is being filled up: what its stages share.

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
            numbers = max(n - 1, 0), n, min(n + 1, last)
            pictures = [self._picture(*each) for each in zip(numbers, f, strict=True)]
            if n < last:
                self._check_rate(n, _said(f[1]))
            marked = f[1].copy()
            marked.props[KIND] = STILL if n == last else kind_of(f, pictures, n, self._cuts)
            return marked

        neighbours = [clip.std.DuplicateFrames(0), clip, clip[1:] if last else clip]
        return clip.std.ModifyFrame(neighbours, mark)

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
        duration = self._places.duration(_said(before) or (rate and 1 / rate))
        if duration is not None:
            finished.props["_DurationNum"] = duration.numerator
            finished.props["_DurationDen"] = duration.denominator
        if self._cuts or says_cuts(before):
            tell_scene(finished.props, n, self._places, kinds)
        return finished
