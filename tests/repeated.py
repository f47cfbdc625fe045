"""`python -m tests.repeated [CLIPS]`: repeats found and missed, and what taking them out is worth.

Scenes of known motion are drawn on ones, twos, threes and mixed, at 24 frames a second, and encoded
by x264 at CRF 18 and 28. Prints, as tables: of each which repeats are found, but for those of its
first and last picture, with no motion before or after them; in which frames of the clips in a
folder repeats are found; and the PSNR to the true frames of what the bundled model makes at 48
frames a second, with and without `dedup`, over all frames that are no pictures of the source.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import cycle
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from skimage.data import chelsea, coffee

from media.encoding import Encoding
from media.options import VideoOptions
from media.reading.frames import decoded, rgb, videos_in
from media.video import interpolate_video
from runtime import CutDetector, Interpolator
from runtime.parity import psnr_db
from runtime.repeats import RepeatFinder
from runtime.scene import render_bytes

Picture = NDArray[np.uint8]
Scene = Callable[[float], Picture]
WIDTH, HEIGHT, RATE, COUNT = 320, 192, Fraction(24), 36
CRFS = 18, 28
# For how many frames each picture is shown, over and over.
HOLDS = {"ones": (1,), "twos": (2,), "threes": (3,), "mixed": (1, 2, 3, 2, 1, 1, 3, 4)}


def rendered(speed: float) -> Scene:
    """Things that move by 1 to 4 pixels a frame, times the speed."""
    return cache(lambda time: render_bytes(WIDTH, HEIGHT, time * speed))


def panned(speed: float, grain: float = 0) -> Scene:
    """A photograph that moves by so many pixels a frame, with grain that is new in each picture."""

    def drawn(time: float) -> Picture:
        left, part = divmod(20 + speed * time, 1)
        wide = coffee()[100 : 100 + HEIGHT, int(left) : int(left) + WIDTH + 1].astype(np.float64)
        exact = (1 - part) * wide[:, :-1] + part * wide[:, 1:]
        rng = np.random.default_rng(round(time * 1000))
        return levels(exact + grain * rng.standard_normal(exact.shape))

    return drawn


def talking(time: float) -> Picture:
    """A photograph that stands still, but for a hundredth of it."""
    still = levels(coffee()[100 : 100 + HEIGHT, 60 : 60 + WIDTH])
    left = round(4 * time) % 200
    still[100:124, 150:176] = chelsea()[110:134, 100 + left : 126 + left]
    return still


def fading(time: float) -> Picture:
    """A photograph that becomes black in four seconds."""
    return levels(coffee()[100 : 100 + HEIGHT, 60 : 60 + WIDTH] * max(0, 1 - time / 96))


def levels(picture: NDArray[np.float64] | Picture) -> Picture:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


SCENES: dict[str, Scene] = {
    "rendered": rendered(1),
    "rendered, slow": rendered(0.2),
    "pan of 1/4 pixel": panned(0.25),
    "pan of 1 pixel": panned(1),
    "pan of 1 pixel, grain": panned(1, grain=4),
    "part that moves": talking,
    "fade": fading,
}


def shown(holds: Sequence[int], count: int = COUNT) -> list[int]:
    """Of each frame, that of which it shows the picture."""
    pictures: list[int] = []
    for hold in cycle(holds):
        if len(pictures) >= count:
            return pictures[:count]
        pictures += [len(pictures)] * hold
    raise AssertionError("holds are empty")


def repeats_in(pictures: Sequence[int]) -> set[int]:
    """The frames that repeat a picture, with another one before and after it."""
    return {
        frame
        for frame, picture in enumerate(pictures)
        if frame != picture and picture not in (pictures[0], pictures[-1])
    }


def encoded(
    path: Path, scene: Scene, pictures: Sequence[int], crf: int, rate: Fraction = RATE
) -> Path:
    """Encode frames; where a picture is shown again, it is the very same one."""
    drawn = {picture: scene(picture) for picture in set(pictures)}
    with av.open(str(path), "w") as writer:
        encoder = writer.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        height, width, _ = drawn[pictures[0]].shape
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(drawn[picture], format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            writer.mux(encoder.encode(frame))
        writer.mux(encoder.encode(None))
    return path


def found_in(path: Path) -> set[int]:
    """The frames of a video that are taken for repeats."""
    with av.open(str(path)) as reader:
        rate = reader.streams.video[0].average_rate or RATE
    finder: RepeatFinder[int] = RepeatFinder()
    is_cut = CutDetector()
    decided = [
        each
        for index, picture in enumerate(map(rgb, decoded(path)))
        for each in finder.add(index, picture, index / rate, is_cut(picture))
    ]
    return {index for index, repeat in [*decided, *finder.rest()] if repeat}


def quality(
    interpolate: Interpolator, source: Path, scene: Scene, pictures: Sequence[int]
) -> tuple[float, float]:
    """PSNR to the truth of all frames at twice the rate that are no pictures, without, with dedup.

    Those before the second picture and after the last are left out.
    """
    means = []
    for dedup in (False, True):
        output = source.with_suffix(f".{dedup}.mkv")
        lossless = Encoding(codec="ffv1")
        options = VideoOptions(factor=2, dedup=dedup, encoding=lossless, overwrite=True)
        interpolate_video(interpolate, source, output, options)
        second, last = sorted(set(pictures))[1], pictures[-1]
        values = [
            psnr_db(rgb(frame) / np.float32(255), scene(index / 2) / np.float32(255))
            for index, frame in enumerate(decoded(output))
            if second < index / 2 < last and index / 2 not in pictures
        ]
        means.append(float(np.mean(values)))
    return means[0], means[1]


def rows(folder: Path, clips: Path | None) -> Iterator[str]:
    yield "| scene | drawn on | CRF | repeats | found | missed | false |"
    for name, scene in SCENES.items():
        for holds, lengths in HOLDS.items():
            pictures = shown(lengths)
            drawn = repeats_in(pictures)
            for crf in CRFS:
                found = found_in(encoded(folder / "drawn.mp4", scene, pictures, crf))
                counts = len(drawn), len(found & drawn), len(drawn - found), len(found - drawn)
                yield f"| {name} | {holds} | {crf} | {' | '.join(map(str, counts))} |"
    if clips is not None:
        yield "\n| clip | frames | found | which |"
        for path in videos_in(clips):
            found = found_in(path)
            which = " ".join(map(str, sorted(found)))
            yield f"| {path.name} | {sum(1 for _ in decoded(path))} | {len(found)} | {which} |"
    yield "\n| scene | drawn on | CRF | PSNR without | with dedup |"
    with Interpolator() as interpolate:
        for name in ("rendered", "pan of 1 pixel"):
            for holds, lengths in HOLDS.items():
                for crf in CRFS:
                    pictures = shown(lengths, 20)
                    source = encoded(folder / "drawn.mp4", SCENES[name], pictures, crf)
                    without, with_ = quality(interpolate, source, SCENES[name], pictures)
                    yield f"| {name} | {holds} | {crf} | {without:.2f} | {with_:.2f} |"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder), Path(sys.argv[1]) if len(sys.argv) > 1 else None):
            print(row, flush=True)


if __name__ == "__main__":
    main()
