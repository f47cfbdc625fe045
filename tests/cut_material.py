"""Sequences whose cuts are known, and how many of them are found.

    python -m tests.cut_material [DATA]

prints for each kind of sequence how many cuts it has, how many of them are found and missed, and
how many are found where there is none. The sequences are made of the photographs that scikit-image
ships; where DATA is given, of the pictures, triplets and clips in that folder as well. The cuts of
clips were read off contact sheets, by eye.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from runtime.cuts import CutDetector
from training.material import free_stills

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 320, 180
SHOTS = 12  # pictures, at most, that fades, flashes and motion are made of
# The frames with which scenes begin, and those that may be taken for such or not: a picture that
# decays.
CLIPS: dict[str, tuple[set[int], set[int]]] = {
    "bikes": ({30, 76, 137, 187, 242}, set()),
    "arm_wrestling": ({268}, {229, 230}),
    "bigbuckbunny": (set(), set()),
    "carphone_pristine": (set(), set()),
    "bt709_full_range": (set(), set()),
    "h264_10bits": (set(), set()),
}
# Moments of one view, from which something else has moved into it; the background is the same.
LATER = {"bikes": (32, 72), "bigbuckbunny": (0, 44), "carphone_pristine": (0, 60)}
AGAIN = ("h264_10bits", "arm_wrestling")  # the pattern of another clip; one scene before and after
TRIPLETS = ("vimeo_triplet/sequences/*/*", "ucf101_interp/*", "davis/*", "middlebury_other/*")


class Material(NamedTuple):
    """Frames in their order, and which of them begin a scene; `either` may be taken for such."""

    kind: str
    frames: Sequence[Picture]
    cuts: set[int]
    either: frozenset[int] = frozenset()


def fitted(picture: Picture, scale: int = 1) -> Picture:
    """The middle of a picture, as large as a frame, or `scale` times as wide and high."""
    wide, high = scale * WIDTH, scale * HEIGHT
    height, width = picture.shape[:2]
    factor = max(wide / width, high / height)
    size = max(wide, round(width * factor)), max(high, round(height * factor))
    image = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    x, y = (size[0] - wide) // 2, (size[1] - high) // 2
    return np.array(image.crop((x, y, x + wide, y + high)))


def in_range(levels: NDArray[np.float64]) -> Picture:
    return np.rint(levels.clip(0, 255)).astype(np.uint8)


def grainy(frames: Sequence[NDArray[np.float64]] | Sequence[Picture]) -> list[Picture]:
    """The same with the noise of a camera, so that no two frames are equal."""
    rng = np.random.default_rng(0)
    return [in_range(frame + rng.normal(0, 2, frame.shape)) for frame in frames]


def cuts_between_photographs(photos: Sequence[Picture]) -> Iterator[Material]:
    """One photograph after another, each shown for one frame, for two, for one or three."""
    count = len(photos)
    every = set(range(1, count))
    yield Material("slideshow, each picture once", grainy(photos), every)
    twice = [photo for photo in photos for _ in range(2)]
    yield Material("slideshow, each picture twice", grainy(twice), {2 * cut for cut in every})
    runs = [photo for at, photo in enumerate(photos) for _ in range(3 if at % 2 else 1)]
    starts = np.cumsum([3 if at % 2 else 1 for at in range(count)])[:-1]
    yield Material("two cuts in a row", grainy(runs), set(starts.tolist()))
    yield Material("slideshow, dark", grainy([0.2 * photo for photo in photos]), every)
    pale = [0.3 * photo + 120 for photo in photos]
    yield Material("slideshow, as through fog", grainy(pale), every)


def flashes(photo: Picture) -> Iterator[Material]:
    """Light for some frames, and cuts from one part of a picture to another."""
    white, black = np.full_like(photo, 255), np.zeros_like(photo)
    glare = 2.0 * photo + 60
    for kind, flash in (("white", white), ("overexposed", glare), ("black", black)):
        for length in (1, 2, 3):
            frames = [photo] * 3 + [flash] * length + [photo] * 3
            yield Material(f"{kind} for 1 to 3 frames", grainy(frames), {3, 3 + length})
    strobe = [photo, white] * 4
    yield Material("strobe, white", grainy(strobe), set(range(1, 8)))
    yield Material("strobe, black", grainy([photo, black] * 4), set(range(1, 8)))
    large = fitted(photo, 2)
    views = [large[y:, x:][:HEIGHT, :WIDTH] for y, x in ((0, 0), (HEIGHT, WIDTH), (0, WIDTH))]
    yield Material("cuts to another part of one picture", grainy(views), {1, 2})


def slow_changes(photo: Picture, other: Picture) -> Iterator[Material]:
    """What has no cut, though it ends with another picture."""
    ends = {"black": np.zeros(photo.shape), "white": np.full(photo.shape, 255.0)}
    for length in (6, 12, 25):
        steps = np.linspace(0, 1, length + 1)
        for kind, end in ends.items():
            there = [photo * (1 - step) + end * step for step in steps]
            yield Material(f"fade to {kind} and back", grainy(there + there[::-1]), set())
        across = [photo * (1 - step) + other.astype(float) * step for step in steps]
        kind = "dissolve, 6 frames" if length == 6 else "dissolve, 12 and 25 frames"
        yield Material(kind, grainy(across), set())
    lamp = [photo * (1 + 0.2 * np.sin(step / 2)) for step in range(20)]
    yield Material("light that comes and goes", grainy(lamp), set())
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot(y - HEIGHT / 2, x - WIDTH / 2)[..., np.newaxis]
    burst = [photo + 400 * np.exp(-((away / (12.0 * step + 1)) ** 2)) for step in range(8)]
    yield Material("explosion, that grows", grainy(burst), set())


def motion(photo: Picture) -> Iterator[Material]:
    """A camera that is moved over a picture, by shares of the frame's width."""
    large = Image.fromarray(fitted(photo, 4))
    top = 1.5 * HEIGHT

    def view(x: float, y: float = top, scale: float = 1.0, angle: float = 0.0) -> Picture:
        turned = large.rotate(angle, Image.Resampling.BICUBIC) if angle else large
        wide, high = WIDTH * scale, HEIGHT * scale
        box = x, y, x + wide, y + high
        return np.array(turned.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box))

    for share in (5, 10, 15):
        xs = [share / 100 * WIDTH * step for step in range(7)]
        yield Material(f"pan by {share} % of the width", grainy([view(x) for x in xs]), set())
    down = [view(WIDTH, 0.08 * HEIGHT * step) for step in range(8)]
    yield Material("tilt by 8 % of the height", grainy(down), set())
    at, whip = 0.0, [view(0)]
    for share in (2, 5, 9, 13, 13, 13, 9, 5, 2):  # blurred by how far it goes
        ways = [view(at + share / 100 * WIDTH * part) for part in np.linspace(0.5, 1.5, 9)]
        whip.append(in_range(np.mean(ways, axis=0)))
        at += share / 100 * WIDTH
    yield Material("whip pan, up to 13 %, blurred", grainy(whip), set())
    closer = [view(1.5 * WIDTH - 6 * s, top - 3 * s, 1 + s / 26, 2 * s) for s in range(10)]
    yield Material("zoom and roll", grainy(closer), set())


def text(photo: Picture) -> Iterator[Material]:
    """Cards with text, cut to one another; text that comes and goes on a picture, and crawls."""
    font = ImageFont.load_default(16)
    lines = ("A film by nobody\nin particular", "PART ONE", "Ten years later,\nin a small town\nby")

    def card(under: Picture, words: str, x: float = 60, y: float = 60) -> Picture:
        image = Image.fromarray(under)
        ImageDraw.Draw(image).text((x, y), words, fill=(255, 255, 255), font=font)
        return np.array(image)

    titled = [card(photo, words, 40, 140) for words in ("", lines[1], lines[1], "Yes.", "")]
    yield Material("subtitles that come and go", grainy(titled), set())
    soft = np.array(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(6))) // 3
    crawl = [card(soft, "\n".join(lines * 3), 60, 20 - 6 * step) for step in range(10)]
    yield Material("credits that crawl", grainy(crawl), set())


def from_photographs(pictures: Sequence[Picture]) -> Iterator[Material]:
    photos = [fitted(picture) for picture in pictures]
    yield from cuts_between_photographs(photos)
    for at in range(0, len(photos), -(-len(photos) // SHOTS)):
        photo = photos[at]
        yield from flashes(photo)
        yield from slow_changes(photo, photos[at - 1])
        yield from motion(pictures[at])
        yield from text(photo)


def frames_of(clip: Path) -> list[Picture]:
    with av.open(str(clip)) as reader:
        return [frame.to_ndarray(format="rgb24") for frame in reader.decode(video=0)]


def triplets_in(data: Path) -> list[list[Picture]]:
    folders = [folder for pattern in TRIPLETS for folder in sorted(data.glob(pattern))]
    return [
        [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.*"))]
        for folder in folders
    ]


def from_data(data: Path) -> Iterator[Material]:
    triplets = triplets_in(data)
    for frames in triplets:
        yield Material("triplets of data sets", frames, set())
        yield Material("triplets, first to last", frames[::2], set())
    drift = [np.array(Image.open(path)) for path in sorted(data.glob("sequence_drift/*.jpg"))]
    yield Material("sequence_drift", drift, set())
    shots = [drift[0], *(frames[0] for frames in triplets[11:])]  # vimeo_triplet is of one scene
    for name, (cuts, either) in CLIPS.items():
        frames = frames_of(data / "clips" / f"{name}.mp4")
        yield Material(f"clip {name}", frames, cuts, frozenset(either))
        halved = {cut // 2 + cut % 2 for cut in cuts}
        lax = frozenset(index // 2 + index % 2 for index in either)
        yield Material("clips, every other frame", frames[::2], halved, lax)
        if name in LATER:
            moments = [frames[at] for at in LATER[name] for _ in range(2)]
            yield Material("cuts to the same view, later", moments, {2})
        if name not in AGAIN:
            shots += [frames[cut] for cut in sorted({0, *cuts})]
    yield from from_photographs(shots)


def found(material: Material) -> set[int]:
    is_cut = CutDetector()
    return {index for index, frame in enumerate(material.frames) if is_cut(frame)}


def main(data: Path | None = None) -> None:
    """Print the table."""
    counts: dict[str, NDArray[np.int64]] = {}
    materials = from_photographs(free_stills()) if data is None else from_data(data)
    for material in materials:
        got = found(material)
        right = len(got & material.cuts)
        wrong = len(got - material.cuts - material.either)
        numbers = [1, len(material.frames), len(material.cuts), right, wrong]
        counts[material.kind] = counts.get(material.kind, 0) + np.array(numbers)
    print(f"{'':38} sequences frames  cuts found missed  false")
    for kind, (sequences, frames, cuts, right, wrong) in counts.items():
        row = f"{kind:38} {sequences:9} {frames:6} {cuts:5} {right:5} {cuts - right:6} {wrong:6}"
        print(row)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
