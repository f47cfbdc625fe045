"""Interpolation of VapourSynth clips, in scripts for vspipe, editors and mpv. Needs VapourSynth.

from media.vapoursynth import rrin

clip = rrin(clip, factor=2)
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import vapoursynth as vs

from media.clips.frames import check_format, duration_of
from media.clips.graph import ClipGraph
from media.clips.plugins import ClipBackend, check_backend, form_of
from media.clips.times import timeline
from media.errors import MediaError
from media.schedule import Number
from runtime.errors import OptionError, shown
from runtime.interpolator import Interpolator
from runtime.manifest import is_engine
from runtime.options import check_flag


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
        clip: RGB24, RGBH, RGBS, or YUV 4:2:0, 4:2:2 or 4:4:4 of 8, 9, 10, 12, 14 or 16 bits, 4:4:0
            of 8, 10 or 12, 4:1:1 or 4:1:0 of 8; of one size and format, progressive. Its rate may
            vary: each frame's `_DurationNum` and `_DurationDen` say how long it is shown.
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
            here: ort with CUDA, ov, ort on the CPU, or trt_rtx for an engine; else 'runtime',
            'ort', 'ov', 'trt' or 'trt_rtx'. One of the last two has to be named for an engine that
            other tools built, of such a file without `--factor`.
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
    form = form_of(Path(model), backend) if isinstance(model, (str, Path)) else None
    check_backend(backend, form)
    rate = Fraction(clip.fps) or None
    chosen = timeline(clip.num_frames, rate, lambda: _durations(clip), factor=factor, fps=fps)
    filled = ClipGraph(clip, chosen, cuts)
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
        if (said := duration_of(frame)) is None:
            raise MediaError(
                f"frame {number} does not say how long it is shown (_DurationNum, _DurationDen), "
                "and the clip has no rate; give it one with AssumeFPS"
            )
        durations.append(said)
    return durations
