"""Output times, against what one would write down by hand."""

from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest

from media.schedule import Number, Schedule, on_the_beat
from runtime.errors import OptionError

F = Fraction
RATE, BASE = F(25), F(1, 12800)


def timing(rate: F = RATE, base: F = BASE, **asked: Number) -> Schedule:
    given: dict[str, Any] = {"factor": None, "fps": None, "slow": None, **asked}
    return Schedule.of(source_rate=rate, source_base=base, **given)


def laid_out(timing: Schedule, *times: F) -> list[tuple[F, F, F]]:
    """All that is wanted over source frames at these times."""
    return [tuple(wanted) for pair in pairwise(times) for wanted in timing.between(*pair)]  # type: ignore[misc]


def test_a_whole_factor_divides_every_interval() -> None:
    tripled = timing(factor=F(3), rate=F(30000, 1001), base=F(1, 30000))
    frame = F(1001, 30000)
    shown = laid_out(tripled, F(0), frame, 2 * frame)
    assert [t for t, _, _ in shown] == [0, F(1, 3), F(2, 3)] * 2
    assert [time for _, time, _ in shown] == [index * frame / 3 for index in range(6)]
    assert {duration for _, _, duration in shown} == {frame / 3}
    assert tripled.time_base == F(1, 90000)


def test_variable_rates_stay_variable() -> None:
    shown = laid_out(timing(factor=F(2)), F(0), F(1, 25), F(4, 25))
    assert [time for _, time, _ in shown] == [0, F(1, 50), F(2, 50), F(5, 50)]
    assert [duration for _, _, duration in shown] == [F(1, 50)] * 2 + [F(3, 50)] * 2


def test_a_rate_finds_its_neighbours_and_hits_source_frames_exactly() -> None:
    shown = laid_out(timing(fps=F(60)), *(F(index, 25) for index in range(6)))
    assert [time for _, time, _ in shown] == [F(index, 60) for index in range(12)]
    assert [t for t, _, _ in shown] == [index * F(25, 60) % 1 for index in range(12)]
    assert [time for t, time, _ in shown if t == 0] == [0]
    dense = laid_out(timing(fps=F(60)), *(F(index, 30) for index in range(4)))
    assert [time for t, time, _ in dense if t == 0] == [0, F(1, 30), F(2, 30)]


def test_a_broken_factor_is_a_rate() -> None:
    shown = laid_out(timing(factor=F(5, 2)), F(0), F(1, 25), F(2, 25))
    assert [time for _, time, _ in shown] == [F(2 * index, 125) for index in range(5)]


@pytest.mark.parametrize("times", [F(4), F(5, 2)])
def test_slow_motion_keeps_the_rate_and_takes_longer(times: F) -> None:
    shown = laid_out(timing(slow=times), *(F(index, 25) for index in range(5)))
    assert [time for _, time, _ in shown] == [F(index, 25) for index in range(int(4 * times))]
    assert sum(duration for _, _, duration in shown) == F(4, 25) * times


def test_slow_motion_at_a_chosen_rate() -> None:
    shown = laid_out(timing(slow=F(4), fps=F(60)), F(0), F(1, 25), F(2, 25))
    assert [time for _, time, _ in shown] == [F(index, 60) for index in range(20)]
    assert [t for t, _, _ in shown] == [index * F(25, 240) % 1 for index in range(20)]


def test_what_is_wanted_comes_one_by_one() -> None:
    days = timing(fps=F(60)).between(F(0), F(10**9))
    assert [wanted.time for wanted in islice(days, 3)] == [0, F(1, 60), F(2, 60)]
    many = timing(factor=F(1000)).between(F(0), F(1))
    assert next(many) == (0, 0, F(1, 1000))


def test_every_time_is_a_multiple_of_the_base() -> None:
    for asked in ({"factor": F(3)}, {"fps": F(60000, 1001)}, {"slow": F(2)}):
        for rate, base in ((F(24000, 1001), F(1, 1000)), (F(28), F(1, 14336))):
            chosen = timing(rate, base, **asked)
            source = [on_the_beat(round(n / rate / base) * base, rate, base) for n in range(20)]
            for _, time, duration in laid_out(chosen, *source):
                assert (time / chosen.time_base).denominator == 1
                assert (duration / chosen.time_base).denominator == 1


def test_rounded_timestamps_are_put_back() -> None:
    rate, base = F(30000, 1001), F(1, 1000)
    assert [on_the_beat(F(ms, 1000), rate, base) for ms in (33, 67, 100)] == [
        F(1001 * index, 30000) for index in (1, 2, 3)
    ]
    assert on_the_beat(F(50, 1000), rate, base) == F(50, 1000)  # really off the beat


def test_a_coarse_clock_moves_no_time() -> None:
    ticks = [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 22]
    rate, base = F(15, 11) * 10, F(1, 30)
    assert [on_the_beat(tick * base, rate, base) for tick in ticks] == [t * base for t in ticks]


def test_rates_that_no_clock_holds_are_rounded() -> None:
    assert timing(fps=F("59.94005994")).rate == F(60000, 1001)
    odd = timing(rate=F(216018000, 7205399), factor=F(5, 2))
    assert max(odd.time_base.numerator, odd.time_base.denominator) < 2**31


@pytest.mark.parametrize("two", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), F(2)])
def test_numbers_of_any_kind_mean_the_same(two: float) -> None:
    for name in ("factor", "fps", "slow"):
        assert timing(**{name: two}) == timing(**{name: F(2)})


def test_a_float_is_the_number_that_it_prints_as() -> None:
    assert timing(fps=59.94).rate == timing(fps=np.float32(59.94)).rate == F(2997, 50)
    assert timing(factor=2.1).rate == F(21, 10) * RATE


@pytest.mark.parametrize("name", ["factor", "fps", "slow"])
@pytest.mark.parametrize("value", ["2", [2], True, float("nan"), float("inf"), 2 + 0j])
def test_what_is_no_number(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name} is .*; expected a number, such as 60"):
        timing(**{name: value})


@pytest.mark.parametrize("asked", [{"factor": F(5, 2)}, {"slow": F(5, 2)}])
def test_a_rate_that_the_source_claims_is_limited_too(asked: dict[str, F]) -> None:
    (name,) = asked
    with pytest.raises(OptionError, match=f"{name} is 5/2, .* says 1000000 .* at most 10000"):
        timing(rate=F(10**6), **asked)
    assert timing(rate=F(10**6), **{name: F(2)}).rate is None  # goes by the frames there are


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "give one"),
        ({"fps": F(60), "factor": F(2)}, "neither fps nor slow"),
        ({"factor": F(1001)}, "factor is 1001; expected more than 1, and at most 1000"),
        ({"slow": F(10) ** 400}, r"slow is 1\.0*e\+400; expected .* at most 1000"),
        ({"fps": F(10001)}, "fps is 10001; expected a rate above 0, and at most 10000"),
        ({"fps": F(1, 10**9)}, "expected a rate above 0"),
        ({"factor": F(1)}, "factor is 1; expected more than 1"),
        ({"slow": F(1, 2)}, "slow is 1/2; expected more than 1"),
        ({"fps": F(0)}, "fps is 0"),
    ],
)
def test_what_cannot_be(asked: dict[str, F], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        timing(**asked)
