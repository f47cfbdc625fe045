"""Segments of a video: where it can be cut, found by demuxing alone, and read from there on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import av
from av import Packet
from av.container import InputContainer
from av.video.stream import VideoStream

from media.errors import MediaError
from media.reading.container import chosen_video, claimed_seconds, open_media
from media.reading.damage import declared_size
from runtime.records import Between
from runtime.repeats import RUN_UP

# Packets that are decoded before a segment's own, at least, for what is decided by several frames:
# a whole frame of fields, and a time that strays, by the neighbours.
_RUN_UP = 8
# By how many packets a frame may be shown before one that is decoded earlier.
_REORDERED = 16
# AVI does not say when frames are shown.
_WITHOUT_TIMES = ("avi",)
_NEVER = 2**62  # ticks
Ticks = Annotated[int, Between(-_NEVER, _NEVER)]


@dataclass(frozen=True)
class Segment:
    """Frames of a video, by when they are shown, in ticks of their stream's clock.

    Attributes:
        key: of the keyframe that is decoded from; it comes before `begin`, so that frames of an
            open GOP, and what is decided by several frames, come out as from the start.
        seek: when that keyframe is decoded.
        begin: of the first frame, a keyframe; of a part's first segment, when the part begins.
        end: of the first frame of the next segment; None of the last, but when a part ends.
        packets: how many packets of the stream are shown in it, where `key` is known.
        closes: it is the last of a part, and its last frame is shown until `end` at most.
    """

    key: Ticks | None = None
    seek: Ticks | None = None
    begin: Ticks | None = None
    end: Ticks | None = None
    packets: Annotated[int, Between(0, 2**40)] = 0
    closes: bool = False

    def holds(self, time: int | None) -> bool:
        """Say whether what is shown at a time, in ticks, is among its frames."""
        return (
            time is not None
            and (self.begin is None or time >= self.begin)
            and (self.end is None or time < self.end)
        )


WHOLE = Segment()


class _Key(NamedTuple):
    """A keyframe: its number among all packets, and when it is shown and decoded, in ticks."""

    number: int
    shown: int
    decoded: int


@dataclass(frozen=True)
class Plan:
    """How a video is worked through.

    Attributes:
        segments: two at least, of a part one; none where the whole is made in one piece.
        reason: why, for people; empty where it is short.
    """

    segments: tuple[Segment, ...] = ()
    reason: str = ""


def planned(
    source: Path, stream: int | None, seconds: float, part: Segment = WHOLE, dedup: bool = False
) -> Plan:
    """Find segments of so many seconds at least.

    Args:
        part: what of the video; where its keyframe cannot be found, it stays as it is.
        dedup: repeats are looked for, which takes more frames before a segment's own.

    Raises:
        InputNotFoundError, OptionError, MediaError: as `open_media` and `chosen_video` do.
    """
    with open_media(source) as reader:
        video = chosen_video(reader, stream, source)
        in_one = () if part == WHOLE else (part,)
        short = not seconds or 0 < claimed_seconds(reader, video) < 2 * seconds
        if short and not in_one:
            return Plan()
        if declared_size(source) > source.stat().st_size:
            return Plan(in_one, "it is cut short")
        if reader.format.name in _WITHOUT_TIMES or not video.time_base:
            return Plan(in_one, "its format does not say when frames are shown")
        least = _NEVER if short else round(Fraction(seconds) / video.time_base)
        try:
            run_up = max(_RUN_UP, RUN_UP + _REORDERED) if dedup else _RUN_UP
            segments = _cut(reader, video, least, part, run_up)
        except av.FFmpegError as error:
            return Plan(in_one, f"it cannot be read to its end: {error.strerror}")
        except ValueError as error:
            return Plan(in_one, str(error))
    return Plan(segments) if len(segments) > 1 or in_one else Plan()


def _cut(
    reader: InputContainer, stream: VideoStream, least: int, part: Segment, run_up: int
) -> tuple[Segment, ...]:
    """Cut a part where a keyframe is shown `least` ticks after the cut before.

    Each is decoded from `run_up` packets before on, or more.

    Raises:
        ValueError: times are missing or run backwards.
    """
    segments = [part]
    keys: deque[_Key] = deque()
    first = last = None
    before = -_NEVER  # when the keyframe before the last one is shown
    for number, packet in enumerate(_shown(reader, stream)):
        if packet.pts is None:
            raise ValueError("not all of its frames have a time")
        time = packet.pts
        if first is None and (part.begin is None or time >= part.begin):
            first = time
            segments[0] = _entered(part, keys, number - run_up)
        if packet.is_keyframe:
            while len(keys) > 1 and keys[1].number <= number - run_up:
                keys.popleft()
            if keys and time <= keys[-1].shown:
                raise ValueError("its times run backwards")
            start = first if segments[-1].begin is None else segments[-1].begin
            far = part.holds(time) and start is not None and time - start >= least
            if keys and keys[0].number <= number - run_up and far:
                segments[-1] = replace(segments[-1], end=time, closes=False)
                rest = replace(part, begin=time)
                segments.append(_entered(rest, keys, number - run_up))
            before = keys[-1].shown if keys else before
            keys.append(_Key(number, time, time if packet.dts is None else packet.dts))
        elif time <= before:
            raise ValueError("its times run backwards")
        if part.end is not None and before >= part.end:
            break  # for what follows is shown after that keyframe
        if part.holds(time):
            last = time if last is None else max(last, time)
            _count(segments, time)
    if last is not None and len(segments) > 1 and last - (segments[-1].begin or 0) < least // 2:
        short = segments.pop()
        packets = segments[-1].packets + short.packets
        segments[-1] = replace(segments[-1], end=short.end, packets=packets, closes=short.closes)
    return tuple(segments)


def _entered(segment: Segment, keys: Iterable[_Key], latest: int) -> Segment:
    """Return a segment as it is decoded from a keyframe of that number at most."""
    early = [key for key in keys if key.number <= latest]
    return replace(segment, key=early[-1].shown, seek=early[-1].decoded) if early else segment


def _shown(reader: InputContainer, stream: VideoStream) -> Iterator[Packet[Any]]:
    return (packet for packet in reader.demux(stream) if packet.size and not packet.is_discard)


def _count(segments: list[Segment], time: int) -> None:
    """Count a packet to the last segment, or if it is shown before that to the one before."""
    for at in (-1, -2):
        if segments[at].begin is None or time >= (segments[at].begin or 0):
            segments[at] = replace(segments[at], packets=segments[at].packets + 1)
            return


def packets_of(
    reader: InputContainer, stream: VideoStream, segment: Segment, source: Path
) -> Iterator[Packet[Any]]:
    """Yield the packets of a video stream from a segment's keyframe on.

    Raises:
        MediaError: it is not found.
    """
    if segment.key is None or segment.seek is None:
        yield from reader.demux(stream)
        return
    second = round(1 / (stream.time_base or 1))
    # Formats without an index are searched, and may be entered behind what was asked for.
    for earlier in (0, second, 10 * second, 100 * second, None):
        target = segment.seek - earlier if earlier is not None else -(2**40)
        try:
            reader.seek(target, stream=stream)
        except av.FFmpegError:
            continue
        packets = reader.demux(stream)
        for packet in packets:
            if packet.is_keyframe and packet.pts is not None and packet.pts >= segment.key:
                break
        else:
            continue
        if packet.pts == segment.key:
            yield packet
            yield from packets
            return
    raise misread(source)


def misread(source: Path) -> MediaError:
    """Return the error that a file reads otherwise from its middle than from its start."""
    return MediaError(
        f"{source}: reads otherwise from its middle than from its start, so that it cannot be cut; "
        "remove the folder of its unfinished job, NAME.partial, and make it in one piece",
        remedy=("segment", 0),
    )
