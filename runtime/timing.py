"""Which frames a video is given, and when they are shown: exact rationals, in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from .errors import OptionError

# What a container's clock can hold, and so what a time base's terms may be.
_LARGEST_TERM = 2**31 - 1
_LARGEST_DENOMINATOR = 100_000  # of a rate: 60000/1001 and all its kin are well below


class Wanted(NamedTuple):
    """A frame of the output.

    Attributes:
        t: where it lies between its two source frames, in [0, 1); 0 is the first of them itself.
        time: when it is shown, and for how long.
    """

    t: Fraction
    time: Fraction
    duration: Fraction


@dataclass(frozen=True)
class Timing:
    """How output times follow from source times, both counted from the first frame on.

    Attributes:
        factor: each interval between two source frames is divided into so many, whatever its
            length, so that a variable frame rate stays as variable as it is; or None.
        rate: frames a second of the output, where the intervals are not divided; else None.
        slowdown: output seconds for one source second.
        time_base: what every output time is a multiple of.
    """

    factor: int | None
    rate: Fraction | None
    slowdown: Fraction
    time_base: Fraction

    @classmethod
    def of(
        cls,
        *,
        factor: Fraction | None,
        fps: Fraction | None,
        slow: Fraction | None,
        source_rate: Fraction,
        source_base: Fraction,
    ) -> Timing:
        """Choose from what was asked for, one of `factor`, `fps` and `slow`.

        Args:
            factor: times the source's frame rate.
            fps: frames a second.
            slow: as many times as long, at the source's frame rate.
            source_rate: frames a second, on average.
            source_base: what every source time is a multiple of, seconds.

        Raises:
            OptionError: none or several of them; a factor or slowdown that is not above 1; a rate
                that is not above 0.
        """
        given = [value for value in (factor, fps, slow) if value is not None]
        if len(given) != 1:
            raise OptionError("factor, fps and slow exclude each other; give one")
        if fps is not None:
            if fps <= 0:
                raise OptionError(f"fps is {fps}; expected a rate above 0")
            fps = fps.limit_denominator(_LARGEST_DENOMINATOR)
            return cls(None, fps, Fraction(1), 1 / fps)
        times = given[0]
        if times <= 1:
            name = "factor" if slow is None else "slow"
            raise OptionError(f"{name} is {times}; expected more than 1")
        slowdown = times if slow is not None else Fraction(1)
        if times.denominator != 1:
            rate = source_rate if slow is not None else source_rate * times
            rate = rate.limit_denominator(_LARGEST_DENOMINATOR)
            return cls(None, rate, slowdown, 1 / rate)
        base = _common_divisor(1 / source_rate, source_base) * slowdown / times
        if max(base.numerator, base.denominator) > _LARGEST_TERM:
            base = source_base * slowdown / times
        return cls(int(times), None, slowdown, base)

    def between(self, start: Fraction, end: Fraction) -> list[Wanted]:
        """Return what is wanted from one source frame on until just before the next."""
        if self.rate is None:
            steps = self.factor or 1
            duration = (end - start) * self.slowdown / steps
            return [
                Wanted(Fraction(step, steps), start * self.slowdown + step * duration, duration)
                for step in range(steps)
            ]
        per_frame = 1 / (self.rate * self.slowdown)  # of source time
        first, stop = math.ceil(start / per_frame), math.ceil(end / per_frame)
        return [
            Wanted((index * per_frame - start) / (end - start), index / self.rate, 1 / self.rate)
            for index in range(first, stop)
        ]


def on_the_beat(time: Fraction, rate: Fraction, base: Fraction) -> Fraction:
    """Return the time of a constant rate that a rounded timestamp stands for, if there is one.

    Containers round: at 30000/1001 frames a second Matroska says 33, 67, 100 ms.
    """
    exact = round(time * rate) / rate
    return exact if abs(exact - time) < base else time


def _common_divisor(a: Fraction, b: Fraction) -> Fraction:
    """Return the largest number that both are whole multiples of."""
    return Fraction(
        math.gcd(a.numerator * b.denominator, b.numerator * a.denominator),
        a.denominator * b.denominator,
    )
