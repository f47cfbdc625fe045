"""Any frame of an interpolated clip is found by its number, as a whole video's are in order."""

from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import pytest

from media.clips.times import timeline
from media.schedule import Schedule
from runtime import OptionError

NTSC = Fraction(24000, 1001)
VARYING = [Fraction(ticks, 600) for ticks in (20, 25, 60, 10, 20, 20)]


def unread() -> list[Fraction]:
    raise AssertionError("the clip was read, and need not be")


@pytest.mark.parametrize(
    "asked",
    [{"factor": 3}, {"factor": 2.5}, {"fps": 60}, {"fps": 10}, {"fps": Fraction(48000, 1001)}],
)
@pytest.mark.parametrize("varying", [False, True])
def test_frames_are_those_of_a_schedule_that_is_followed_in_order(
    asked: dict[str, Any], varying: bool
) -> None:
    durations = VARYING if varying else [1 / NTSC] * 6
    starts = [Fraction(0), *accumulate(durations)]
    rate = len(durations) / starts[-1]
    schedule = Schedule.of(
        factor=asked.get("factor"), fps=asked.get("fps"), slow=None,
        source_rate=rate, source_base=1 / rate,
    )  # fmt: skip
    expected = [
        (source, wanted.t, wanted.time)
        for source, (start, end) in enumerate(pairwise(starts))
        for wanted in schedule.between(start, end)
    ]
    options = {"factor": None, "fps": None} | asked
    is_read = varying and asked != {"factor": 3}
    read = (lambda: durations) if is_read else unread
    found = timeline(6, None if varying else rate, read, **options)
    assert found.count == len(expected)
    shown = Fraction(0)
    for number, (source, t, time) in enumerate(expected):
        assert found.place(number) == (source, t)
        assert shown == time
        shown += found.duration(durations[source]) or 0
    for source in range(6):
        assert found.times(source) == [t for at, t, _ in expected if at == source and t]


def test_a_whole_factor_reads_no_clip_and_needs_no_rate() -> None:
    # A player's clip has no known end, and says no rate.
    found = timeline(2**31 // 16, None, unread, factor=4, fps=None)
    assert found.count == 2**31 // 4
    assert found.place(4_000_003) == (1_000_000, Fraction(3, 4))
    assert found.shown_rate is None
    assert found.duration(None) is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"factor": 1}, "factor is 1; expected more than 1"),
        ({"factor": 2, "fps": 60}, "factor goes with neither fps nor slow"),
        ({"fps": 20_000}, "fps is 20000; expected a rate above 0"),
        ({"factor": 1000}, "become 1500000000000; expected 2147483647 at most"),
    ],
)
def test_what_cannot_be_is_said(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        timeline(1_500_000_000, Fraction(24), unread, **({"factor": None, "fps": None} | asked))
