"""Which frames a video is given, and when they are shown: exact rationals, in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

from runtime.errors import OptionError, shown
from runtime.frames import MAX_TIMES

# What a container's clock can hold, and so what a time base's terms may be.
_LARGEST_TERM = 2**31 - 1
LARGEST_DENOMINATOR = 100_000  # of a rate: 60000/1001 and all its kin are well below
# What nobody can mean, and would fill disks: a slip of the finger, or a damaged clock.
_MOST_FPS = 10_000
LONGEST_GAP = Fraction(24 * 60 * 60)  # seconds between two frames of a source
PORTION = 8  # frames between two that are made at once: they are in memory together
# A clock whose tick is longer than this part of the frame interval puts no time on the beat.
_COARSE = Fraction(1, 4)


# Of Python or of numpy. A float is the number that it prints as, so that 59.94 is 2997/50.
Number = float | Fraction


def rational(name: str, value: Number) -> Fraction:
    """Return a number, called `name`, as an exact one.

    Raises:
        OptionError: it is none, or not finite.
    """
    try:
        if isinstance(value, Real):
            return Fraction(str(value))
    except ValueError:
        pass  # NaN, infinity, a truth value, more digits than Python prints
    raise OptionError(
        f"{name} is {shown(value)}; expected a number, such as 60 or Fraction(60000, 1001)"
    )


def constant_rate(name: str, value: Number) -> Fraction:
    """Return a rate in frames a second, called `name`, as a container's clock can hold it.

    Raises:
        OptionError: it is no number above 0, and at most 10,000.
    """
    rate = rational(name, value)
    held = rate.limit_denominator(LARGEST_DENOMINATOR)
    if not 0 < held <= _MOST_FPS:
        raise OptionError(
            f"{name} is {_number(rate)}; expected a rate above 0, and at most {_MOST_FPS}"
        )
    return held


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
class Schedule:
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
        factor: Number | None,
        fps: Number | None,
        slow: Number | None,
        source_rate: Fraction,
        source_base: Fraction,
    ) -> Schedule:
        """Choose from what was asked for: `factor`, or `fps`, or `slow`, or `slow` at `fps`.

        Args:
            factor: times the source's frame rate, at most 1000.
            fps: frames a second.
            slow: as many times as long, at most 1000, at the source's frame rate or at `fps`.
            source_rate: frames a second, on average.
            source_base: what every source time is a multiple of, seconds.

        Raises:
            OptionError: none of them, or `factor` and another; what is no number; a factor or
                slowdown that is not above 1, or more than can be meant; a constant rate, chosen or
                of a broken factor or slowdown, that is not above 0, and at most 10,000.
        """
        if factor is not None and (fps is not None or slow is not None):
            raise OptionError("factor goes with neither fps nor slow; leave it out, or both")
        name, given = ("slow", slow) if factor is None else ("factor", factor)
        times = None if given is None else rational(name, given)
        if times is not None and not 1 < times <= MAX_TIMES:
            raise OptionError(
                f"{name} is {_number(times)}; expected more than 1, and at most {MAX_TIMES}"
            )
        if fps is not None:
            return cls._constant(constant_rate("fps", fps), times or Fraction(1))
        if times is None:
            raise OptionError("no factor, fps or slow; give one")
        slowdown = times if slow is not None else Fraction(1)
        if times.denominator != 1:
            rate = source_rate if slow is not None else source_rate * times
            rate = max(rate, 1 / LONGEST_GAP)
            if rate > _MOST_FPS:
                raise OptionError(
                    f"{name} is {_number(times)}, and the source says {_number(source_rate)} "
                    f"frames a second, which gives {_number(rate)}; expected at most {_MOST_FPS}: "
                    f"give fps, or a whole {name}"
                )
            return cls._constant(rate, slowdown)
        base = _common_divisor(1 / source_rate, source_base) * slowdown / times
        if max(base.numerator, base.denominator) > _LARGEST_TERM:
            base = source_base * slowdown / times
        return cls(int(times), None, slowdown, base)

    @classmethod
    def _constant(cls, fps: Fraction, slowdown: Fraction) -> Schedule:
        rate = fps.limit_denominator(LARGEST_DENOMINATOR)
        return cls(None, rate, slowdown, 1 / rate)

    def constant(self, rate: Fraction) -> Schedule:
        """Return the same at a constant rate, in frames a second.

        Raises:
            OptionError: it is above 10,000.
        """
        if rate > _MOST_FPS:
            raise OptionError(
                f"the output would have {_number(rate)} frames a second; expected at most "
                f"{_MOST_FPS}: give fps"
            )
        return replace(self, factor=None, rate=rate, time_base=1 / rate)

    def between(self, start: Fraction, end: Fraction) -> Iterator[Wanted]:
        """Yield what is wanted from one source frame on until just before the next."""
        if self.rate is None:
            steps = self.factor or 1
            duration = (end - start) * self.slowdown / steps
            for step in range(steps):
                time = start * self.slowdown + step * duration
                yield Wanted(Fraction(step, steps), time, duration)
            return
        per_frame = 1 / (self.rate * self.slowdown)  # of source time
        for index in range(math.ceil(start / per_frame), math.ceil(end / per_frame)):
            t = (index * per_frame - start) / (end - start)
            yield Wanted(t, index / self.rate, 1 / self.rate)

    def across(self, times: Sequence[Fraction]) -> Iterator[Wanted]:
        """Yield what is wanted from one source frame on until just before another.

        Args:
            times: when the two are shown, and between them their repeats, which are left out: what
                is wanted there stays, and lies between the two.
        """
        first, last = times[0], times[-1]
        for start, end in pairwise(times):
            for wanted in self.between(start, end):
                t = (start + wanted.t * (end - start) - first) / (last - first)
                yield wanted._replace(t=t)


def on_the_beat(time: Fraction, rate: Fraction, base: Fraction) -> Fraction:
    """Return the time of a constant rate that a rounded timestamp stands for, if there is one.

    Containers round: at 30000/1001 frames a second Matroska says 33, 67, 100 ms. Where a tick,
    `base`, is long beside the frame interval every time is near some beat, and none is moved.
    """
    exact = round(time * rate) / rate
    return exact if base * rate <= _COARSE and abs(exact - time) < base else time


def _common_divisor(a: Fraction, b: Fraction) -> Fraction:
    """Return the largest number that both are whole multiples of."""
    return Fraction(
        math.gcd(a.numerator * b.denominator, b.numerator * a.denominator),
        a.denominator * b.denominator,
    )


def _number(value: Fraction) -> str:
    if max(abs(value.numerator), value.denominator) < 10**9:
        return str(value)
    return f"{Decimal(value.numerator) / value.denominator:.6g}"
