"""What of the streams beside the pictures belongs to a part of a video."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av import Packet


@dataclass(frozen=True)
class Span:
    """A span of a source, in its seconds; None is without a bound."""

    begin: Fraction | None = None
    end: Fraction | None = None

    def ends_before(self, time: Fraction) -> bool:
        """Say whether what is at that time comes after the span."""
        return self.end is not None and time >= self.end

    def clips(self, packet: Packet[Any]) -> bool:
        """Say whether a packet belongs to it; of a subtitle what is seen outside is cut off.

        Audio packets are in it that begin in it.
        """
        given = packet.dts if packet.pts is None else packet.pts
        if given is None:
            return self == EVERYTHING
        base = packet.time_base
        time, length = given * base, (packet.duration or 0) * base
        if self.ends_before(time):
            return False
        if packet.stream.type != "subtitle" or not length:
            return self.begin is None or time >= self.begin
        begin = time if self.begin is None else max(time, self.begin)
        end = time + length if self.end is None else min(time + length, self.end)
        if begin >= end:
            return False
        if (begin, end) != (time, time + length):
            packet.pts = packet.dts = math.ceil(begin / base)
            packet.duration = max(1, math.floor(end / base) - packet.pts)
        return True

    def chapters(self, every: list[Any]) -> list[Any]:
        """Return those of a source's chapters that it holds some of, cut to it."""
        kept = []
        for chapter in every:
            base = chapter["time_base"]
            begin, end = chapter["start"] * base, chapter["end"] * base
            begin = begin if self.begin is None else max(begin, self.begin)
            end = end if self.end is None else min(end, self.end)
            if begin < end or self == EVERYTHING:
                kept.append({**chapter, "start": round(begin / base), "end": round(end / base)})
        return kept


EVERYTHING = Span()
