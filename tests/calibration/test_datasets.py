"""Data sets as people have them on disk, whole and broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration import middlebury, triplet_folders, ucf101, vimeo90k
from media.errors import MediaError
from runtime import InputNotFoundError
from tests.conftest import write_png


def grey(level: int, height: int = 8) -> np.ndarray:
    return np.full((height, 12, 3), level, np.uint8)


def test_vimeo90k_gives_the_frames_of_its_lists(vimeo: Path) -> None:
    assert [triplet.name for triplet in vimeo90k(vimeo, "test")] == ["00001/0004"]
    train = vimeo90k(vimeo, "train")
    assert [triplet.name for triplet in train] == ["00001/0001", "00001/0002", "00001/0003"]
    frames = train[0].read()
    assert frames.truth.shape == (96, 128, 3)
    assert not np.array_equal(frames.frame0, frames.truth)
    assert not np.array_equal(frames.frame1, frames.truth)


def test_lists_are_read_and_images_are_not(tmp_path: Path) -> None:
    (tmp_path / "tri_trainlist.txt").write_bytes(
        b"\xef\xbb\xbf00001/0001\r\n\r\n  \r\n00002/0005\r\n"
    )
    triplets = vimeo90k(tmp_path, "train")
    assert [triplet.name for triplet in triplets] == ["00001/0001", "00002/0005"]
    with pytest.raises(InputNotFoundError, match=r"00002/0005/im1\.png: no such image"):
        triplets[1].read()


def test_septuplets_give_their_middle(tmp_path: Path) -> None:
    (tmp_path / "sep_testlist.txt").write_text("00001/0001\n")
    for index in range(1, 8):
        write_png(tmp_path / "sequences/00001/0001" / f"im{index}.png", grey(index))
    (triplet,) = vimeo90k(tmp_path, "test")
    assert [frame.mean() for frame in triplet.read()] == [3, 4, 5]


def test_ucf101_and_middlebury_layouts(tmp_path: Path) -> None:
    for number in (1, 10, 2):
        for level, name in enumerate(("frame_00", "frame_01_gt", "frame_02")):
            write_png(tmp_path / f"ucf/{number}/{name}.png", grey(10 * number + level))
    found = ucf101(tmp_path / "ucf")
    assert [triplet.name for triplet in found] == ["1", "2", "10"]
    assert [frame.mean() for frame in found[1].read()] == [20, 21, 22]

    write_png(tmp_path / "mid/other-data/Urban/frame10.png", grey(1))
    write_png(tmp_path / "mid/other-data/Urban/frame11.png", grey(3))
    write_png(tmp_path / "mid/other-gt-interp/Urban/frame10i11.png", grey(2))
    write_png(tmp_path / "mid/other-data/NoTruth/frame10.png", grey(1))
    (urban,) = middlebury(tmp_path / "mid")
    assert [frame.mean() for frame in urban.read()] == [1, 2, 3]


def test_any_folder_of_triplets(tmp_path: Path) -> None:
    for folder in ("b/deep", "a"):
        for index in (1, 2, 3):
            write_png(tmp_path / folder / f"im{index}.png", grey(index))
    assert [triplet.name for triplet in triplet_folders(tmp_path)] == ["a", "b/deep"]
    (tmp_path / "a/im3.png").unlink()
    with pytest.raises(InputNotFoundError, match=r"a: has no im3 beside its im1; expected folders"):
        triplet_folders(tmp_path)


@pytest.mark.parametrize(
    ("read", "layout"),
    [
        (lambda root: vimeo90k(root, "train"), r"tri_trainlist\.txt.*sequences/00001/0001"),
        (ucf101, r"frame_00\.png"),
        (middlebury, "other-gt-interp"),
        (triplet_folders, "im1, im2 and im3"),
    ],
)
def test_a_wrong_root_is_told_the_layout(read, layout: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputNotFoundError, match=f"{tmp_path}.*{layout}"):
        read(tmp_path)
    with pytest.raises(InputNotFoundError, match=f"nowhere: no such folder.*{layout}"):
        read(tmp_path / "nowhere")


def test_empty_lists_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tri_trainlist.txt").write_text("\n\n")
    with pytest.raises(InputNotFoundError, match=r"tri_trainlist\.txt: names no triplets"):
        vimeo90k(tmp_path, "train")


def test_damaged_images_are_named(vimeo: Path, tmp_path: Path) -> None:
    root = shutil.copytree(vimeo, tmp_path / "vimeo")
    image = root / "sequences/00001/0002/im3.png"
    image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(MediaError, match=r"0002/im3\.png: not an image"):
        vimeo90k(root, "train")[1].read()
    write_png(image, grey(1))
    with pytest.raises(MediaError, match="00001/0002 has images of 128x96, 12x8; expected one"):
        vimeo90k(root, "train")[1].read()


@pytest.mark.parametrize("name", ["../../secret", "/etc/secret", "a/../../b"])
def test_lists_do_not_lead_out_of_the_data_set(name: str, tmp_path: Path) -> None:
    (tmp_path / "tri_testlist.txt").write_text(f"00001/0001\n{name}\n")
    with pytest.raises(MediaError, match="leads out of the data set"):
        vimeo90k(tmp_path, "test")


def test_lists_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "tri_testlist.txt").write_bytes(b"\xff\xfe0\x00")
    with pytest.raises(MediaError, match=r"tri_testlist\.txt: is not text"):
        vimeo90k(tmp_path, "test")


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\x00b", "a\u202eb", "n" * 201, "n/" * 3000])
def test_lists_of_absurd_names_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "tri_testlist.txt").write_text(f"00001/0001\n{name}\n")
    with pytest.raises(
        MediaError, match=r"tri_testlist\.txt: names .*; expected at most"
    ) as caught:
        vimeo90k(tmp_path, "test")
    assert str(caught.value).isprintable()


def test_a_list_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "tri_testlist.txt").open("wb") as file:
        file.truncate(2**36)
    with pytest.raises(MediaError, match="has more than 16777216 bytes"):
        vimeo90k(tmp_path, "test")


@pytest.mark.parametrize("read", [ucf101, triplet_folders])
def test_folders_whose_names_steer_terminals_are_refused(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("frame_00", "frame_01_gt", "frame_02", "im1", "im2", "im3"):
        write_png(tmp_path / "a\x1b[2J" / f"{name}.png", grey(1))
    with pytest.raises(MediaError, match=r"names 'a\\x1b\[2J'; expected"):
        read(tmp_path)


def test_links_lead_nowhere_but_inside(tmp_path: Path) -> None:
    for index in (1, 2, 3):
        write_png(tmp_path / f"elsewhere/im{index}.png", grey(index))
    inside = tmp_path / "root/a"
    inside.mkdir(parents=True)
    for index in (1, 2):
        write_png(inside / f"im{index}.png", grey(index))
    (inside / "im3.png").symlink_to(inside / "im1.png")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    (triplet,) = triplet_folders(tmp_path / "link")  # the root itself may be one
    assert triplet.read().frame1.mean() == 1
    (inside / "im3.png").unlink()
    (inside / "im3.png").symlink_to(tmp_path / "elsewhere/im3.png")
    with pytest.raises(MediaError, match=r"a/im3\.png: is a link that leads out of .*root"):
        triplet_folders(tmp_path / "root")[0].read()


def test_links_in_circles_end(tmp_path: Path) -> None:
    for index in (1, 2):
        write_png(tmp_path / f"a/im{index}.png", grey(index))
    (tmp_path / "a/again").symlink_to(tmp_path)
    (tmp_path / "a/im3.png").symlink_to(tmp_path / "a/im3.png")
    (triplet,) = triplet_folders(tmp_path)
    with pytest.raises(InputNotFoundError, match=r"a/im3\.png: no such image"):
        triplet.read()


def test_reading_and_judging_triplets_needs_no_onnx(vimeo: Path) -> None:
    code = f"""
import sys
sys.modules |= dict.fromkeys(["onnx", "onnx_ir"])
from calibration import vimeo90k
from rrin_deploy.evaluation import AVERAGE, evaluate, summarise
from runtime import Interpolator
with Interpolator() as interpolate:
    cases = evaluate({{"ours": interpolate}}, vimeo90k({str(vimeo)!r}, "test"))
print(summarise(cases, "ours", AVERAGE).triplets)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")
