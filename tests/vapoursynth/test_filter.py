"""The filter for VapourSynth: the interpolator's frames, at the right times, in scripts and pipes.

Run by `make test-vapoursynth`, in an environment that has VapourSynth and neither torch nor the
rest of what other tests need.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engines import build_vs_mlrt
from media import Encoding, VideoOptions, interpolate_video
from runtime import CutDetector, Interpolator, OptionError
from runtime.scene import render, render_bytes
from tests.models import SMALL_MODEL

vs = pytest.importorskip("vapoursynth", reason="VapourSynth needs Python 3.12 or newer")

from media.vapoursynth import rrin  # noqa: E402 - it imports vapoursynth

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 83, 117  # no multiples of 32
core = vs.core
Frames = Sequence[np.ndarray]


def clip_of(frames: Frames, fps: Fraction | int = 24, preset: Any = None) -> Any:
    """A clip of RGB frames, (H, W, 3), uint8 or float32."""
    height, width = frames[0].shape[:2]
    if preset is None:
        preset = vs.RGB24 if frames[0].dtype == np.uint8 else vs.RGBS
    rate = Fraction(fps)
    blank = core.std.BlankClip(
        width=width, height=height, format=preset, length=len(frames),
        fpsnum=rate.numerator, fpsden=rate.denominator,
    )  # fmt: skip

    def fill(n: int, f: Any) -> Any:
        filled = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(filled[plane]), frames[n][..., plane], casting="same_kind")
        filled.props["MyOwn"] = n
        return filled

    return blank.std.ModifyFrame(blank, fill)


def with_props(clip: Any, props: dict[int, dict[str, int]]) -> Any:
    """The clip, with properties of some of its frames set, by their numbers."""

    def put(n: int, f: Any) -> Any:
        changed = f.copy()
        for name, value in props.get(n, {}).items():
            changed.props[name] = value
        return changed

    return clip.std.ModifyFrame(clip, put)


def varying(clip: Any, durations: Sequence[Fraction]) -> Any:
    """The clip at a rate that varies: each frame says for how long it is shown."""
    said = {
        number: {"_DurationNum": duration.numerator, "_DurationDen": duration.denominator}
        for number, duration in enumerate(durations)
    }
    blank = core.std.BlankClip(clip, fpsnum=0, fpsden=1)
    return blank.std.ModifyFrame(with_props(clip, said), lambda n, f: f)  # noqa: ARG005


def array(frame: Any) -> np.ndarray:
    return np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)


def arrays(clip: Any) -> list[np.ndarray]:
    return [array(frame) for frame in clip.frames()]


@pytest.fixture(scope="module")
def ours() -> Any:
    """The truth: the small model in ONNX Runtime."""
    with Interpolator(SMALL_MODEL, backend="onnxruntime") as interpolate:
        yield interpolate


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int | None], Path]:
    """The small model for vs-mlrt, of each form."""
    folder = tmp_path_factory.mktemp("mlrt")

    def built(factor: int | None) -> Path:
        path = folder / f"{factor}.onnx"
        if not path.exists():
            build_vs_mlrt(SMALL_MODEL, path, precision="fp32", factor=factor)
        return path

    return built


def float_scene(count: int) -> list[np.ndarray]:
    return [render(HEIGHT, WIDTH, time) for time in range(count)]


def byte_scene(count: int) -> list[np.ndarray]:
    return [render_bytes(WIDTH, HEIGHT, time) for time in range(count)]


def expected_at(
    ours: Interpolator, frames: Frames, rate: Fraction | int, fps: Fraction
) -> list[np.ndarray]:
    """What a rate is to show of frames of another rate, after which the last one stays."""
    shown = []
    for number in range(1_000_000):
        source, t = divmod(number / fps * rate, 1)
        if source >= len(frames):
            return shown
        here, there = frames[source], frames[min(source + 1, len(frames) - 1)]
        shown.append(ours(here, there, float(t)) if t and here is not there else here)
    raise AssertionError


RUNNERS = [("runtime", 0), ("ort", 1e-6), ("ov", 1e-5)]  # backend, the most that float32 differs


@pytest.mark.parametrize(("backend", "most"), RUNNERS)
@pytest.mark.parametrize(
    "asked",
    [{"factor": 2}, {"factor": 3}, {"factor": 4}, {"factor": 5}, {"fps": 60}, {"factor": 1.75},
     {"fps": Fraction(60000, 1001)}],
    ids=str,
)  # fmt: skip
def test_frames_are_the_interpolators(
    backend: Any, most: float, asked: dict[str, Any], ours: Interpolator, files: Any
) -> None:
    fps = Fraction(asked["fps"]) if "fps" in asked else 24 * Fraction(asked["factor"])
    whole = asked.get("factor") if isinstance(asked.get("factor"), int) else None
    models = [ours] if backend == "runtime" else [files(None)]
    if backend != "runtime" and whole:
        models.append(files(whole))  # all frames between two at once
    for frames, allowed in ((float_scene(3), most), (byte_scene(3), 1)):
        expected = expected_at(ours, frames, 24, fps)
        for model in models:
            out = rrin(clip_of(frames), model=model, backend=backend, cuts=False, **asked)
            assert (out.fps, out.num_frames) == (fps, len(expected))
            for frame, truth in zip(out.frames(), expected, strict=True):
                assert np.abs(array(frame).astype(float) - truth).max() <= allowed
                said = Fraction(frame.props["_DurationNum"], frame.props["_DurationDen"])
                assert said == 1 / fps


@pytest.mark.parametrize(("backend", "factor"), [("runtime", None), ("ort", None), ("ort", 2)])
def test_half_floats_stay_half_and_too_bright_ones_are_clipped(
    backend: Any, factor: int | None, ours: Interpolator, files: Any
) -> None:
    frames = [frame * 1.2 - 0.1 for frame in float_scene(2)]
    model = ours if backend == "runtime" else files(factor)
    clipped = [np.clip(frame, 0, 1) for frame in frames]
    source = clip_of(frames)
    made = arrays(rrin(source, model=model, backend=backend))
    np.testing.assert_array_equal(made[0], frames[0])  # a source frame passes as it is
    assert np.abs(made[1] - ours(*clipped)).max() <= 1e-6
    halves = [frame.astype(np.float16) for frame in float_scene(2)]
    out = rrin(clip_of(halves, preset=vs.RGBH), model=model, backend=backend)
    assert out.format.id == vs.RGBH
    truth = ours(*(half.astype(np.float32) for half in halves))
    assert np.abs(arrays(out)[1].astype(float) - truth).max() <= 2**-11


def test_a_pair_is_run_once_and_pairs_at_which_nothing_moves_are_not() -> None:
    calls = []

    class Counted(Interpolator):
        def __init__(self) -> None:
            super().__init__(SMALL_MODEL, backend="onnxruntime")

        def __call__(self, frame0: Any, frame1: Any, t: Any = 0.5) -> Any:
            calls.append(list(t))
            return super().__call__(frame0, frame1, t)

    frames = byte_scene(3)
    frames.append(frames[2])
    with Counted() as counted:
        made = arrays(rrin(clip_of(frames), factor=4, model=counted))
    assert calls == [[0.25, 0.5, 0.75]] * 2
    for frame in made[9:]:
        np.testing.assert_array_equal(frame, frames[2])


VARYING = [Fraction(1, 24), Fraction(1, 12), Fraction(1, 30)]


@pytest.mark.parametrize("backend", ["runtime", "ort"])
def test_a_rate_that_varies(backend: Any, ours: Interpolator, files: Any) -> None:
    frames = byte_scene(3)
    clip = varying(clip_of(frames), VARYING)
    assert not clip.fps
    model = ours if backend == "runtime" else files(None)
    doubled = rrin(clip, factor=2, model=model, backend=backend)
    assert not doubled.fps
    said = [Fraction(f.props["_DurationNum"], f.props["_DurationDen"]) for f in doubled.frames()]
    assert said == [Fraction(1, 48)] * 2 + [Fraction(1, 24)] * 2 + [Fraction(1, 60)] * 2
    assert np.abs(arrays(doubled)[3].astype(int) - ours(frames[1], frames[2])).max() <= 1
    # At 24 frames a second: frames 0 and 1, the middle of what is twice as long, frame 2.
    constant = rrin(clip, fps=24, model=model, backend=backend)
    assert (constant.fps, constant.num_frames) == (24, 4)
    truth = [frames[0], frames[1], ours(frames[1], frames[2]), frames[2]]
    for made, expected in zip(arrays(constant), truth, strict=True):
        assert np.abs(made.astype(int) - expected).max() <= 1


def test_times_that_contradict_the_clips_rate_are_not_passed_over(ours: Interpolator) -> None:
    clip = with_props(clip_of(byte_scene(3)), {1: {"_DurationNum": 1, "_DurationDen": 12}})
    out = rrin(clip, fps=60, model=ours)
    out.get_frame(0)
    with pytest.raises(vs.Error, match=r"frame 1 is shown for 1/12 seconds.* its rate varies"):
        list(out.frames())


def two_scenes() -> list[np.ndarray]:
    return [*byte_scene(3), *(255 - frame[::-1] for frame in byte_scene(2))]


def flags(clip: Any) -> list[tuple[int, int]]:
    """Whether each frame begins a scene, and whether it ends one."""
    return [
        (frame.props["_SceneChangePrev"], frame.props["_SceneChangeNext"])
        for frame in clip.frames()
    ]


@pytest.mark.parametrize(("backend", "factor"), [("runtime", None), ("ort", None), ("ort", 4)])
def test_at_a_cut_the_nearer_frame_is_repeated(
    backend: Any, factor: int | None, ours: Interpolator, files: Any
) -> None:
    frames = two_scenes()
    is_cut = CutDetector()
    assert [is_cut(frame) for frame in frames] == [False, False, False, True, False]
    model = ours if backend == "runtime" else files(factor)
    out = rrin(clip_of(frames), factor=4, model=model, backend=backend)
    made = arrays(out)
    for number, nearer in ((8, 2), (9, 2), (10, 3), (11, 3), (12, 3)):
        np.testing.assert_array_equal(made[number], frames[nearer])
    assert np.abs(made[6].astype(int) - ours(frames[1], frames[2])).max() <= 1
    # The scenes of the output meet between its frames 9 and 10, and nowhere else.
    found = flags(out)
    assert found.pop(9) == (0, 1)
    assert found.pop(9) == (1, 0)
    assert set(found) == {(0, 0)}


def test_cuts_that_the_clip_says_count_and_without_looking_no_others(ours: Interpolator) -> None:
    frames = two_scenes()
    clip = clip_of(frames)
    made = arrays(rrin(clip, factor=2, model=ours, cuts=False))
    np.testing.assert_array_equal(made[5], ours(frames[2], frames[3]))
    for said in ({"_SceneChangeNext": 1}, {"_SceneChangePrev": 1}):
        number = 0 if "_SceneChangeNext" in said else 1
        told = rrin(with_props(clip, {number: said}), factor=3, model=ours, cuts=False)
        made = arrays(told)
        for index, nearer in ((0, 0), (1, 0), (2, 1), (3, 1)):
            np.testing.assert_array_equal(made[index], frames[nearer])


def test_frames_are_found_in_any_order_and_properties_are_kept(ours: Interpolator) -> None:
    clip = clip_of(two_scenes())
    out = rrin(clip, factor=2, model=ours)
    in_order = arrays(out)
    again = rrin(clip, factor=2, model=ours)
    for number in (7, 3, 9, 0, 5, 3):
        frame = again.get_frame(number)
        np.testing.assert_array_equal(array(frame), in_order[number])
        repeated = 1 if number == 5 else 0  # the middle of the cut, of the scene behind it
        assert frame.props["MyOwn"] == number // 2 + repeated
        assert not [name for name in frame.props if "Rrin" in name]


# --- YUV, beside what `interpolate` makes of the same file ---


def video(path: Path, pix_fmt: str, tags: dict[str, int], count: int = 4) -> Path:
    """A lossless video of the scene, whose clock holds the times at 30000/1001 exactly."""
    rate = Fraction(30000, 1001)
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264", rate=rate, options={"qp": "0"})
        encoder.width, encoder.height, encoder.pix_fmt = 116, 82, pix_fmt
        for name, value in tags.items():
            setattr(encoder.codec_context, name, value)
        for number in range(count):
            picture = av.VideoFrame.from_ndarray(render_bytes(116, 82, number), format="rgb24")
            frame = picture.reformat(format=pix_fmt, dst_color_range=tags.get("color_range", 1))
            frame.pts, frame.time_base = number, 1 / rate
            for name, value in tags.items():
                setattr(frame, name, value)
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


def shown(path: Path) -> tuple[list[Fraction], list[list[np.ndarray]]]:
    """When each frame of a file is shown, and its planes."""
    times, planes = [], []
    with av.open(str(path)) as reader:
        for frame in reader.decode(video=0):
            times.append(frame.pts * frame.time_base)
            dtype = np.uint16 if "p10" in frame.format.name else np.uint8
            planes.append(
                [
                    np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[
                        :, : plane.width
                    ]
                    for plane in frame.planes
                ]
            )
    return times, planes


def vspipe(*arguments: object, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run vspipe of this environment, with an empty home."""
    folder = Path(sys.executable).parent
    environment = {
        **os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(home),
        "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return subprocess.run(
        [folder / "vspipe", *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pix_fmt", "tags"),
    [
        ("yuv420p", {}),
        ("yuv420p", {"colorspace": 1, "color_range": 2}),
        ("yuv444p10le", {"colorspace": 9, "color_range": 1}),
        ("yuv422p", {"colorspace": 6, "color_range": 1}),
    ],
)
def test_vspipe_gives_the_video_that_interpolate_makes(
    pix_fmt: str, tags: dict[str, int], ours: Interpolator, files: Any, tmp_path: Path
) -> None:
    source = video(tmp_path / "in.mp4", pix_fmt, tags)
    lossless = VideoOptions(factor=3, encoding=Encoding(codec="ffv1"))
    interpolate_video(ours, source, tmp_path / "ours.mkv", lossless)
    interpolate_video(ours, source, tmp_path / "ours.mp4", VideoOptions(factor=3))
    times, planes = shown(tmp_path / "ours.mp4")[0], shown(tmp_path / "ours.mkv")[1]
    for model, backend in ((SMALL_MODEL, "runtime"), (files(None), "ort"), (files(3), "ov")):
        done = vspipe(
            "-c", "y4m", "-a", f"source={source}", "-a", f"model={model}", "-a", "factor=3",
            "-a", f"backend={backend}", ROOT / "examples" / "rrin.vpy", tmp_path / "piped.y4m",
            home=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        piped_times, piped = shown(tmp_path / "piped.y4m")
        assert piped_times == times == [Fraction(1001 * n, 90000) for n in range(12)]
        for theirs, mine in zip(piped, planes, strict=True):
            for plane, truth in zip(theirs, mine, strict=True):
                assert np.abs(plane.astype(int) - truth).max() <= (0 if backend == "runtime" else 1)


def test_an_interlaced_clip_is_refused(ours: Interpolator) -> None:
    clip = clip_of(byte_scene(2)).std.SetFieldBased(2)
    with pytest.raises(vs.Error, match="a frame is interlaced"):
        rrin(clip, model=ours).get_frame(1)


@pytest.mark.parametrize("location", [-1, 6, 9])
def test_a_place_of_chroma_that_there_is_not_is_refused(location: int, ours: Interpolator) -> None:
    yuv = clip_of(byte_scene(2)).resize.Bicubic(format=vs.YUV444P8, matrix=1)
    clip = yuv.std.SetFrameProps(_ChromaLocation=location)
    with pytest.raises(vs.Error, match=f"_ChromaLocation is {location}; expected 0 to 5: set it"):
        rrin(clip, model=ours).get_frame(1)


# By subsampling, logarithms of width's and height's; said so in the docstring and the docs.
DEPTHS = {
    (1, 1): {8, 9, 10, 12, 14, 16},
    (1, 0): {8, 9, 10, 12, 14, 16},
    (0, 0): {8, 9, 10, 12, 14, 16},
    (0, 1): {8, 10, 12},
    (2, 0): {8},
    (2, 2): {8},
}


@pytest.mark.parametrize("subsampling", DEPTHS)
def test_yuv_that_is_said_to_be_taken_is(subsampling: tuple[int, int], ours: Interpolator) -> None:
    rgb = clip_of([render_bytes(64, 64, time) for time in range(2)])
    for bits in range(8, 17):
        preset = core.query_video_format(vs.YUV, vs.INTEGER, bits, *subsampling)
        if bits in DEPTHS[subsampling]:
            clip = rgb.resize.Bicubic(format=preset.id, matrix=1)
            made = rrin(clip, model=ours, cuts=False).get_frame(1)
            assert made.format.id == preset.id
            assert np.ptp(np.asarray(made[0])) > 2 ** (bits - 2)
        else:
            said = r"expected RGB24.*4:2:0, 4:2:2 or 4:4:4 of 8, 9, 10, 12, 14 or 16 bits, 4:4:0 of"
            with pytest.raises(OptionError, match=said):
                rrin(rgb.std.BlankClip(format=preset.id), model=ours)


def test_what_cannot_be_is_said_in_the_script(files: Any) -> None:
    clip = clip_of(byte_scene(2))
    for made, message in (
        (lambda: rrin(None), "clip is None; expected a video clip of VapourSynth"),
        (lambda: rrin(clip, model=files(2), factor=3), "is for factor 2 alone"),
        (lambda: rrin(clip, model=files(2), fps=60), "is for factor 2 alone"),
        (lambda: rrin(clip, model=files(2), backend="runtime"), "is for vs-mlrt's ort or ov"),
        (lambda: rrin(clip, model=SMALL_MODEL, backend="ort"), "is for our own runtime"),
        (lambda: rrin(clip, backend="tensorflow"), "backend is 'tensorflow'; expected auto or"),
        (lambda: rrin(clip.resize.Bicubic(format=vs.GRAY8, matrix=1)), "the clip is of Gray8"),
        (lambda: rrin(clip.resize.Bicubic(format=vs.YUV444PS, matrix=1)), "expected RGB24, RGBH"),
        (lambda: rrin(clip, factor=1), "factor is 1; expected more than 1"),
        (lambda: rrin(clip, cuts=1), "cuts is 1; expected True or False"),
    ):
        with pytest.raises(OptionError, match=message):
            made()


def test_the_bundled_model_is_the_default(ours: Interpolator) -> None:
    # vs-mlrt's ov is loaded here, and excludes the OpenVINO that would be taken else.
    frames = byte_scene(2)
    with Interpolator(backend="onnxruntime") as bundled:
        truth = bundled(*frames)
    made = arrays(rrin(clip_of(frames)))[1]
    assert np.abs(made.astype(int) - truth).max() <= 1
    assert np.abs(made.astype(int) - ours(*frames)).max() > 1


def test_mpv_plays_a_file_through_the_script(tmp_path: Path) -> None:
    mpv = shutil.which("mpv")
    filters = mpv and subprocess.run([mpv, "--vf=help"], capture_output=True, text=True, check=True)
    if not filters or "vapoursynth" not in filters.stdout:
        pytest.skip("no mpv here that was built with VapourSynth")
    source = video(tmp_path / "in.mp4", "yuv420p", {})
    script = ROOT / "examples" / "rrin.vpy"
    done = subprocess.run(
        [mpv, "--no-config", "--vo=null", "--untimed", f"--vf=vapoursynth={script}", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "End of file" in done.stdout
