import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from media.errors import MediaError
from media.images.numbering import is_pattern
from media.images.sequence import interpolate_folder
from media.images.stills import MAX_PIXELS, Still, read_still, write_still
from runtime import (
    FrameError,
    InputNotFoundError,
    Interpolator,
    OptionError,
    OutputError,
    OutputExistsError,
)
from runtime.partials import contents
from runtime.scene import render, render_bytes
from tests.conftest import write_png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images whose natural order is not that of the alphabet, and a stranger."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, time in (("img_8.png", 0), ("img_9.png", 1), ("img_10.png", 2)):
        rgb = np.rint(render(40, 56, time) * 255).astype(np.uint8)
        Image.fromarray(rgb).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_fills_up_in_natural_order(folder: Path, interpolate: Interpolator, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    summary = interpolate_folder(
        interpolate, folder, tmp_path / "out", 2, progress=lambda *n: seen.append(n)
    )
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [f"frame_{index:05d}.png" for index in range(5)]
    assert (summary.images_read, summary.images_written) == (3, 5)
    assert seen[-1] == (5, 5)
    for index, name in ((0, "img_8.png"), (2, "img_9.png"), (4, "img_10.png")):
        ours = np.asarray(Image.open(tmp_path / "out" / f"frame_{index:05d}.png"))
        np.testing.assert_array_equal(ours, np.asarray(Image.open(folder / name)))


def test_existing_folder_is_replaced_only_when_told_and_only_if_of_images(
    folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    Image.new("RGB", (4, 4)).save(output / "old.png")
    with pytest.raises(OutputExistsError, match="out: exists"):
        interpolate_folder(interpolate, folder, output, 2)
    interpolate_folder(interpolate, folder, output, 2, overwrite=True)
    assert len(list(output.iterdir())) == 5
    (output / "thesis.doc").write_text("precious")
    with pytest.raises(MediaError, match="holds more than what would be replaced"):
        interpolate_folder(interpolate, folder, output, 2, overwrite=True)
    assert (output / "thesis.doc").exists()


def test_failure_half_way_leaves_nothing(
    folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    (folder / "img_10.png").write_bytes(b"broken")
    with pytest.raises(MediaError, match=r"img_10\.png"):
        interpolate_folder(interpolate, folder, tmp_path / "out", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Four images, of which the third begins a scene."""
    for index in range(4):
        rgb = render_bytes(56, 40, index)
        write_png(tmp_path / f"scenes/{index}.png", rgb if index < 2 else 255 - rgb[::-1])
    return tmp_path / "scenes"


def test_at_a_cut_the_nearer_image_is_written_again(
    scenes: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    done = interpolate_folder(interpolate, scenes, tmp_path / "out", 4)
    assert (done.images_written, done.cuts) == (13, 1)
    sources = [read_still(scenes / f"{index}.png") for index in range(4)]
    for index in range(13):
        made = read_still(tmp_path / f"out/frame_{index:05d}.png")
        same = [np.array_equal(made.rgb, each.rgb) for each in sources]
        nearest = {0: 0, 4: 1, 5: 1, 6: 2, 7: 2, 8: 2, 12: 3}.get(index)
        assert [number for number, equal in enumerate(same) if equal] == (
            [] if nearest is None else [nearest]
        ), index
    morphed = interpolate_folder(interpolate, scenes, tmp_path / "more", 4, cut_threshold=None)
    assert morphed.cuts == 0
    middle = read_still(tmp_path / "more/frame_00006.png").rgb
    assert not any(np.array_equal(middle, each.rgb) for each in sources)


def test_what_cannot_be_seen_is_no_change_of_scene(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    alpha = np.zeros((40, 56), np.uint8)
    alpha[10:20, 10:20] = 255
    for index, level in enumerate((0, 255, 0)):
        rgb = np.full((40, 56, 3), level, np.uint8)
        rgb[10:20, 10:20] = render_bytes(10, 10, 0)
        write_still(tmp_path / f"in/{index}.png", Still(rgb, alpha, grey=False))
    assert interpolate_folder(interpolate, tmp_path / "in", tmp_path / "out", 2).cuts == 0


@pytest.mark.parametrize("threshold", ["x", -1, 7, float("nan")])
def test_cut_thresholds_that_are_none(
    threshold: Any, folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=r"threshold is .*; expected a number from 0 to 1"):
        interpolate_folder(interpolate, folder, tmp_path / "out", 2, cut_threshold=threshold)
    assert not (tmp_path / "out").exists()


def test_what_is_no_sequence(folder: Path, interpolate: Interpolator, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "img_11.png")
    with pytest.raises(FrameError, match=r"/[^:]*\.png: is .* one size"):
        interpolate_folder(interpolate, folder, tmp_path / "out", 2)
    with pytest.raises(InputNotFoundError, match="holds 0 images"):
        interpolate_folder(interpolate, tmp_path, tmp_path / "out", 2)


@pytest.mark.parametrize("factor", [1, 1001, 10**30, 2.0])
def test_factor_that_nobody_can_mean_is_refused_as_such(
    factor: int, folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=f"factor is {factor}; expected .* from 2 to 1000"):
        interpolate_folder(interpolate, folder, tmp_path / "out", factor)
    assert not (tmp_path / "out").exists()


def test_output_has_a_name(folder: Path, interpolate: Interpolator) -> None:
    with pytest.raises(OptionError, match="output is ''; expected a path"):
        interpolate_folder(interpolate, folder, "", 2)


def test_images_between_two_are_not_held_all_at_once(tmp_path: Path) -> None:
    class Recorder:
        most = 0
        identity = "levels"

        def __call__(self, frame0: np.ndarray, _: np.ndarray, t: list[float]) -> np.ndarray:
            self.most = max(self.most, len(t))
            return np.stack([np.full_like(frame0, round(100 * time)) for time in t])

    for name, level in (("a", 0), ("b", 100)):
        write_level(tmp_path / f"in/{name}.png", level)
    recorder = Recorder()
    interpolate_folder(recorder, tmp_path / "in", tmp_path / "out", 100, cut_threshold=None)
    assert levels_of(tmp_path / "out") == list(range(101))
    assert recorder.most <= 8


def test_source_is_not_its_own_output(folder: Path, interpolate: Interpolator) -> None:
    (folder / "notes.txt").unlink()
    before = sorted(folder.iterdir())
    with pytest.raises(OptionError, match="is the source as well"):
        interpolate_folder(interpolate, folder, folder, 2, overwrite=True)
    assert sorted(folder.iterdir()) == before


def test_old_folder_survives_a_failed_move(
    folder: Path, interpolate: Interpolator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    Image.new("RGB", (4, 4)).save(output / "old.png")
    honest = Path.replace

    def full_disk(self: Path, target: Path) -> Path:
        if target == output / "frame_00003.png":
            raise OSError(28, "No space left on device")
        return honest(self, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OutputError, match=r"No space left .* what was made is whole") as caught:
        interpolate_folder(interpolate, folder, output, 2, overwrite=True)
    assert [path.name for path in contents(output)] == ["old.png"]
    assert len(list(Path(str(caught.value).rpartition(" in ")[2]).iterdir())) == 5


def test_the_working_directory_may_be_the_output(
    folder: Path, interpolate: Interpolator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    for factor in (3, 2):
        interpolate_folder(interpolate, folder, ".", factor, overwrite=True)
        assert len(list(Path.cwd().iterdir())) == 2 * factor + 1


def test_numbered_patterns_in_and_out(interpolate: Interpolator, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, time in ((9, 0), (10, 1), (11, 2)):
        write_still(
            tmp_path / f"in/shot_{number}.png", Still(render(40, 56, time), None, grey=False)
        )
    (tmp_path / "in/shot_x.png").write_bytes(b"not one of them")
    done = interpolate_folder(
        interpolate, tmp_path / "in/shot_%d.png", tmp_path / "out/made-%03d.png", 2
    )
    assert (done.images_read, done.images_written) == (3, 5)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"made-{index:03}.png" for index in range(5)]
    for index in range(5):
        still = read_still(tmp_path / f"out/made-{index:03}.png")
        assert still.rgb.dtype == np.float32  # 16 bits stay 16
        assert np.abs(still.rgb - render(40, 56, index / 2)).mean() < 0.03
    first, source = (read_still(tmp_path / name) for name in ("out/made-000.png", "in/shot_9.png"))
    np.testing.assert_array_equal(first.rgb, source.rgb)


def test_patterns_that_cannot_be(interpolate: Interpolator, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for pattern, error, message in (
        ("in/%d_%d.png", OptionError, "expected one number in the pattern"),
        ("in/%d.png", InputNotFoundError, "holds 0 images"),
        ("none/%d.png", InputNotFoundError, "none: no such folder"),
    ):
        with pytest.raises(error, match=message):
            interpolate_folder(interpolate, tmp_path / pattern, tmp_path / "out", 2)
    for index in (1, 2):
        write_still(tmp_path / f"in/{index}.png", Still(render(40, 56, index), None, grey=False))
    with pytest.raises(OptionError, match="is the source as well"):
        interpolate_folder(interpolate, tmp_path / "in/%d.png", tmp_path / "in/x%d.png", 2)


def test_a_pattern_replaces_its_own_and_nothing_else(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    for index in (1, 2):
        write_png(tmp_path / f"in/{index}.png", np.zeros((32, 32, 3), np.uint8))
    pattern = tmp_path / "out/o_%03d.png"
    pattern.parent.mkdir()
    interpolate_folder(interpolate, tmp_path / "in", pattern, 2)  # empty, so there for the taking
    interpolate_folder(interpolate, tmp_path / "in", pattern, 3, overwrite=True)
    assert len(list(pattern.parent.iterdir())) == 4
    write_png(tmp_path / "out/holiday.png", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(MediaError, match="holds more than what would be replaced"):
        interpolate_folder(interpolate, tmp_path / "in", pattern, 2, overwrite=True)
    assert (tmp_path / "out/holiday.png").exists()


def test_output_of_images_is_no_file(
    folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    for name in ("x.mp4", "x.PNG", "x.mpg", "x.m2ts"):
        with pytest.raises(OptionError, match=f"{name}: is named as a file; .* folder"):
            interpolate_folder(interpolate, folder, tmp_path / name, 2)
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(OutputError, match="notes: is a file; expected the name of a folder"):
        interpolate_folder(interpolate, folder, tmp_path / "notes", 2, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "notes"]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("g1", "g2", "g5"), "2 numbers are missing, between 2 and 5"),
        (("g008", "g009", "g011"), "1 number is missing, between 9 and 11"),
        (("at_093000", "at_093122", "at_110059"), ""),  # times
        (("t1_f0", "t1_f10", "t1_f30"), "1 number is missing, between 10 and 30"),
        (("g1", "g2", "g3"), ""),
        (("g0", "g10", "g20"), ""),
        (("a1", "b7"), ""),
        (("a", "b"), ""),
        (
            [f"g{number}" for number in (0, 1, 3, 5, 7, 9, 11)],
            "5 numbers are missing, between 1 and 3, 3 and 5, 5 and 7 and in 2 more places",
        ),
    ],
)
def test_missing_numbers_are_said(
    names: Sequence[str], missing: str, interpolate: Interpolator, tmp_path: Path
) -> None:
    for name in names:
        write_level(tmp_path / f"in/{name}.png", 10)
    assert interpolate_folder(interpolate, tmp_path / "in", tmp_path / "out", 2).missing == missing


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
def test_source_under_another_name_is_not_its_own_output(
    folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    (folder / "notes.txt").unlink()
    (tmp_path / "link").symlink_to(folder)
    for source, output in ((tmp_path / "link", folder), (folder, tmp_path / "link")):
        with pytest.raises(OptionError, match="is the source as well"):
            interpolate_folder(interpolate, source, output, 2, overwrite=True)


def levels_of(folder: Path) -> list[int]:
    """The grey level of each image of a folder, by name."""
    return [int(read_still(path).rgb[0, 0, 0]) for path in sorted(folder.iterdir())]


def write_level(path: Path, level: int) -> None:
    write_png(path, np.full((32, 32, 3), level, np.uint8))


def test_pattern_takes_the_padding_it_says_and_refuses_another(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    for name, level in (("f08", 10), ("f09", 20), ("f10", 30), ("f100", 40)):
        write_level(tmp_path / f"in/{name}.png", level)
    interpolate_folder(interpolate, tmp_path / "in/f%02d.png", tmp_path / "out", 2)
    assert levels_of(tmp_path / "out")[::2] == [10, 20, 30, 40]
    with pytest.raises(OptionError, match=r"f%d\.png: is beside f08\.png, .* padded otherwise"):
        interpolate_folder(interpolate, tmp_path / "in/f%d.png", tmp_path / "other", 2)
    write_level(tmp_path / "in/f8.png", 50)
    with pytest.raises(OptionError, match=r"beside f8\.png"):
        interpolate_folder(interpolate, tmp_path / "in/f%02d.png", tmp_path / "other", 2)
    assert not (tmp_path / "other").exists()


def test_width_without_zero_pads_with_zeros_as_in_ffmpeg(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    for number in (1, 2):
        write_level(tmp_path / f"in/f00{number}.png", number)
    interpolate_folder(interpolate, tmp_path / "in/f%3d.png", tmp_path / "out/o%4d.png", 2)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["o0000.png", "o0001.png", "o0002.png"]


def test_what_exists_by_the_name_of_a_pattern_is_no_pattern(
    interpolate: Interpolator, tmp_path: Path
) -> None:
    folder = tmp_path / "in%d"
    assert is_pattern(folder)
    for name, level in (("a", 10), ("b", 20)):
        write_level(folder / f"{name}.png", level)
    assert not is_pattern(folder)
    interpolate_folder(interpolate, folder, tmp_path / "out", 2)
    assert levels_of(tmp_path / "out")[::2] == [10, 20]


def test_hidden_and_odd_names(interpolate: Interpolator, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    names = ("x1.png", "x2.png", "x10.png", "x\u00b2.png", "y\u0663.png", ".mid.partial.png")
    for level, name in enumerate(names):
        write_level(folder / name, 10 * level)
    done = interpolate_folder(interpolate, folder, tmp_path / "out", 2)
    assert done.images_read == 5
    assert levels_of(tmp_path / "out")[::2] == [0, 10, 20, 30, 40]


def test_pixel_limit_holds_for_each_image(
    folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match="56x40 pixels, more than the limit of 100"):
        interpolate_folder(interpolate, folder, tmp_path / "out", 2, max_pixels=100)
    with pytest.raises(InputNotFoundError, match="nowhere: no such folder"):
        interpolate_folder(interpolate, tmp_path / "nowhere", tmp_path / "out", 2)


def test_a_long_run_goes_on_where_it_was_stopped(
    folder: Path, interpolate: Interpolator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.images.sequence._WORTH_KEEPING", 0)
    whole, output = tmp_path / "whole", tmp_path / "out"
    interpolate_folder(interpolate, folder, whole, 4)

    def stop(done: int, _: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpolate_folder(interpolate, folder, output, 4, progress=stop)
    partial = tmp_path / "out.partial"
    assert len(list(partial.glob("*.png"))) == 6
    assert not output.exists()
    with pytest.raises(OutputError, match="unfinished job of another factor, pattern, cut"):
        interpolate_folder(interpolate, folder, output, 2)
    with pytest.raises(OutputError, match=r"unfinished job of .* cut threshold"):
        interpolate_folder(interpolate, folder, output, 4, cut_threshold=None)
    (partial / "frame_00003.png").write_bytes(b"broken")
    calls = []

    class Counted:
        identity = interpolate.identity
        metadata = interpolate.metadata

        def __call__(self, *pair: Any) -> Any:
            calls.append(pair)
            return interpolate(*pair)

    said: list[str] = []
    interpolate_folder(cast(Interpolator, Counted()), folder, output, 4, tell=said.append)
    assert said == ["goes on: 6 of 9 images are made"]
    assert len(calls) == 2  # of the pair with the broken one, and of the other
    assert not partial.exists()
    for path in whole.iterdir():
        assert (output / path.name).read_bytes() == path.read_bytes()


def test_pictures_of_the_user_are_not_cleared_away(
    folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    partial = tmp_path / "out.partial"
    for mine in ("holiday.jpg", "sub.png/thesis.doc", "frame_00000.png"):
        (partial / mine).parent.mkdir(parents=True)
        (partial / mine).write_text("mine")
        with pytest.raises(OutputError, match=r"out\.partial: holds .*; move it away"):
            interpolate_folder(interpolate, folder, tmp_path / "out", 2)
        assert (partial / mine).read_text() == "mine"
        shutil.rmtree(partial)
    partial.mkdir()
    (partial / "run.lock").touch()  # what a run leaves that dies at its very end
    interpolate_folder(interpolate, folder, tmp_path / "out", 2)
    assert not partial.exists()


def test_what_the_user_put_beside_the_images_stays(
    folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    def put(done: int, _: int) -> None:
        if done == 2:
            (tmp_path / "out.partial/holiday.png").write_text("mine")

    interpolate_folder(interpolate, folder, tmp_path / "out", 2, progress=put)
    assert [path.name for path in (tmp_path / "out.partial").iterdir()] == ["holiday.png"]


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
@pytest.mark.parametrize("name", ["image.writing", "frame_00003.png"])
def test_planted_links_are_not_written_through(
    name: str, folder: Path, interpolate: Interpolator, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")

    def plant(done: int, _: int) -> None:
        if done == 2:
            (tmp_path / "out.partial" / name).symlink_to(elsewhere)

    interpolate_folder(interpolate, folder, tmp_path / "out", 2, progress=plant)
    assert elsewhere.read_text() == "precious"
    assert not (tmp_path / "out/frame_00003.png").is_symlink()


def test_images_above_the_default_limit_are_found_whole(
    folder: Path, interpolate: Interpolator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.images.sequence._WORTH_KEEPING", 0)

    def stop(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    asked: list[int] = []

    def watched(path: Path, *, max_pixels: int = MAX_PIXELS) -> Still:
        asked.append(max_pixels)
        return read_still(path, max_pixels=max_pixels)

    with pytest.raises(KeyboardInterrupt):
        interpolate_folder(interpolate, folder, tmp_path / "out", 2, progress=stop)
    monkeypatch.setattr("media.images.job.read_still", watched)
    interpolate_folder(interpolate, folder, tmp_path / "out", 2, max_pixels=MAX_PIXELS * 2)
    assert set(asked) == {MAX_PIXELS * 2}
