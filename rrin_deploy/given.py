"""What was asked for on the command line of `rrin-deploy interpolate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rrin_deploy.console import parse_rational, parse_time
from rrin_deploy.shares import parse_share
from runtime.cuts import THRESHOLD
from runtime.interpolator import Interpolator

if TYPE_CHECKING:
    from media.options import Share, VideoOptions

Given = dict[str, Any]  # the options that were given, by name
FACTOR = "2"
CUTS = ("cut_threshold", "no_cuts")


@dataclass(frozen=True)
class Order:
    """What is to be made, and by what.

    Attributes:
        inputs, output: as they were named.
        given: the options of what is made, those that were given.
        model: the artifact; None is the bundled one.
        where: options of `Interpolator`.
        ray: the address of a cluster that makes it; None makes it here.
        preview: a part of it is made, to look at.
    """

    inputs: Sequence[Path]
    output: Path
    overwrite: bool
    given: Given
    model: Path | None
    where: Given
    ray: str | None
    preview: bool

    @property
    def source(self) -> Path:
        """The only input, or the first."""
        return self.inputs[0]

    def opened(self) -> Interpolator:
        """Open the artifact."""
        return Interpolator(self.model, **self.where)


def refuse_others(given: Given, kind: str, *own: str) -> None:
    """Raise a usage error where an option was given that is not for what is to be made."""
    for name in given:
        if name not in own:
            raise typer.BadParameter(
                f"{flag(name)} is not for {kind}; expected {', '.join(map(flag, own))}"
            )


def cut_threshold(given: Given) -> float | None:
    """Return what was asked for, None where no cuts are looked for.

    Raises:
        BadParameter: it contradicts itself.
    """
    if all(name in given for name in CUTS):
        raise typer.BadParameter("--no-cuts looks for none; leave out --cut-threshold")
    return None if "no_cuts" in given else given.get("cut_threshold", THRESHOLD)


def flag(name: str) -> str:
    """Return an option's name as it is typed."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class VideoTask:
    """What is to be made of videos, whichever they are.

    Attributes:
        share: which of their segments; None makes all, and joins them.
        allow_damaged: damage of a source is said, and is no fault.
    """

    options: VideoOptions
    share: Share | None
    allow_damaged: bool


def video_task(given: Given, overwrite: bool) -> VideoTask:
    """Say what was asked for.

    Raises:
        BadParameter, OptionError: it can be made of no video.
    """
    from media.encoding import Encoding
    from media.options import SEGMENT, VideoOptions
    from media.schedule import Schedule

    encoding = ("codec", "crf", "preset", "pix_fmt")
    rates = ("factor", "fps", "slow")
    times = ("start", "end")
    others = (
        "stream", "deinterlace", "dedup", "segment", "share", "no_transcode", "allow_damaged",
    )  # fmt: skip
    refuse_others(given, "a video", *rates, *CUTS, *encoding, *times, *others)
    threshold = cut_threshold(given)
    chosen = {name: parse_rational(given[name]) for name in rates if name in given}
    if not chosen:
        chosen["factor"] = parse_rational(FACTOR)
    # What no source's rate makes possible is refused before one is opened.
    nominal = {"factor": None, "fps": None, "slow": None, **chosen}
    Schedule.of(**nominal, source_rate=Fraction(1), source_base=Fraction(1))
    options = VideoOptions(
        **chosen,
        stream=given.get("stream"),
        cut_threshold=threshold,
        dedup="dedup" in given,
        encoding=Encoding(*map(given.get, encoding)),
        transcode="no_transcode" not in given,
        overwrite=overwrite,
        segment=given.get("segment", SEGMENT),
        deinterlace=given.get("deinterlace"),
        **{name: parse_time(given[name]) for name in times if name in given},
    )
    share = parse_share(given["share"]) if "share" in given else None
    return VideoTask(options, share, "allow_damaged" in given)
