"""Live pacing on a simulated clock: what is shown when, whatever source, machine and sink do."""

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import groupby, pairwise
from typing import NamedTuple

import pytest

from media.live.pacing import TARDY, Pacing

LATENCY = 0.2
STEP = 0.001  # seconds: everything happens on one, so that is how exact times are


class Picture(NamedTuple):
    """When what it shows was there, seconds."""

    taken: float


class Seen(NamedTuple):
    at: float
    taken: float
    origin: str


class Run:
    """A camera, a machine and a viewer around a `Pacing`.

    Args:
        arrivals: when each frame comes, and its timestamp; None for the first of a new connection.
        cost: seconds that so many frames between two take, by when they are begun.
        taking: seconds that the sink takes for a frame, by when.
    """

    def __init__(
        self,
        fps: int,
        arrivals: list[tuple[float, Fraction]],
        *,
        seconds: float,
        cost: Callable[[int, float], float] = lambda times, _: 0.003 * times,
        taking: Callable[[float], float] = lambda _: 0.0,
        reconnects: tuple[float, ...] = (),
        rate: int = 25,
    ) -> None:
        self.pacing = pacing = Pacing(Fraction(fps), LATENCY)
        self.seen: list[Seen] = []
        self.limits: list[int | None] = []
        self.most_waiting = 0
        coming = sorted(arrivals)
        made_at, sink_at, job, begun = 0.0, 0.0, None, 0.0
        cuts = sorted(reconnects)
        for step in range(round(seconds / STEP)):
            now = 100 + step * STEP
            while cuts and cuts[0] <= now - 100:
                cuts.pop(0)
                pacing.timeline.interrupted()
            while coming and coming[0][0] <= now - 100:
                arrival, stamp = coming.pop(0)
                base = Fraction(1, 90_000)
                pacing.arrived(Picture(arrival), stamp, Fraction(rate), base, now)
            if job and now >= made_at:
                before, after, wanted = job
                gap = after.taken - before.taken
                frames = [Picture(before.taken + float(each.t) * gap) for each in wanted]
                pacing.made(job, frames, now - begun)
                job = None
            while not job and (pair := pacing.pair(now)):
                if pair.wanted:
                    job, begun = pair, now
                    made_at = now + cost(len(pair.wanted), now - 100)
            while now >= sink_at and (due := pacing.due()) is not None and due <= now:
                shown = pacing.show(now)
                pacing.sent(shown, taken=True)
                self.seen.append(Seen(now - 100, shown.picture.taken, shown.origin))
                sink_at = now + taking(now - 100)
            self.limits.append(pacing.capacity.limit)
            self.most_waiting = max(self.most_waiting, len(pacing._sources) + len(pacing._made))
        assert all(a.taken <= b.taken + STEP for a, b in pairwise(self.seen)), "went back in time"

    def after(self, begin: float, end: float = 1e9) -> list[Seen]:
        return [each for each in self.seen if begin <= each.at < end]

    def latencies(self, begin: float = 0, end: float = 1e9) -> list[float]:
        """Of what is neither late nor early in its place."""
        return [s.at - s.taken for s in self.after(begin, end) if s.origin != "repeated"]


def camera(seconds: float, rate: int = 25, begin: float = 0.0) -> list[tuple[float, Fraction]]:
    count = round(seconds * rate)
    return [(begin + index / rate, Fraction(index, rate)) for index in range(count)]


def origins(seen: list[Seen]) -> set[str]:
    return {each.origin for each in seen}


@pytest.mark.parametrize("fps", [50, 60, 100])
def test_a_machine_that_keeps_up_makes_all_and_is_never_late(fps: int) -> None:
    run = Run(fps, camera(10), seconds=10)
    assert origins(run.after(1)) == {"passed", "made"}
    assert len(run.after(1, 9)) == pytest.approx(8 * fps, abs=1)
    assert all(abs(each - LATENCY) <= 2 * STEP for each in run.latencies())
    assert run.pacing.counts.skipped == run.pacing.counts.dropped == 0
    assert set(run.limits) == {None}


def test_frames_between_are_at_even_times() -> None:
    run = Run(60, camera(4), seconds=4)
    steps = [b.taken - a.taken for a, b in pairwise(run.after(1))]
    assert all(step == pytest.approx(1 / 60, abs=2 * STEP) for step in steps)


def holds(seen: list[Seen]) -> list[int]:
    """For how many ticks each picture was shown."""
    return [len([*group]) for _, group in groupby(seen, key=lambda each: round(each.taken, 4))]


def test_too_slow_for_all_makes_fewer_and_keeps_its_rhythm() -> None:
    # 200 fps from 25: 7 between two, in 40 ms. There is time for one.
    run = Run(200, camera(20), seconds=20, cost=lambda times, _: 0.015 * (times + 1))
    settled = run.after(2, 5)
    assert {each.origin for each in settled} == {"passed", "made", "repeated"}
    made = sum(each.origin == "made" for each in settled)
    assert made == pytest.approx(3 * 25, abs=2)
    assert set(holds(settled)[1:-1]) == {4}
    moved = [b.taken - a.taken for a, b in pairwise(settled) if b.taken > a.taken]
    assert all(step == pytest.approx(0.02, abs=STEP) for step in moved)
    assert len(run.after(1, 20)) == pytest.approx(19 * 200, abs=2)
    assert run.pacing.counts.skipped == 0
    assert run.limits[-1] == 1


def test_too_slow_for_any_repeats_the_nearer_source_frame_at_the_full_rate() -> None:
    run = Run(50, camera(20), seconds=20, cost=lambda *_: 0.3)
    settled = run.after(3, 7)
    assert origins(settled) == {"passed", "repeated"}
    assert set(holds(settled)[1:-1]) == {2}
    assert len(run.after(1, 20)) == pytest.approx(19 * 50, abs=1)
    assert run.limits[-1] == 0


def test_it_degrades_to_fewer_then_to_none_and_comes_back() -> None:
    def cost(times: int, now: float) -> float:
        slowness = 0.002 if now < 5 else 0.012 if now < 10 else 0.05 if now < 15 else 0.002
        return slowness * (times + 1)

    run = Run(100, camera(60), seconds=60, cost=cost)
    distinct = [limit for limit, _ in groupby(run.limits)]
    assert distinct[0] is None
    assert distinct[1] == 2  # of three
    assert 0 in distinct
    assert run.limits[-1] is None
    assert origins(run.after(55)) == {"passed", "made"}
    assert all(abs(each - LATENCY) <= 2 * STEP for each in run.latencies())


def test_trying_more_becomes_ever_rarer_where_it_fails() -> None:
    run = Run(50, camera(100), seconds=100, cost=lambda *_: 0.05)
    tries = sum(limit is None for limit, _ in groupby(run.limits))
    assert 3 <= tries <= 7


def test_a_hiccup_costs_repeated_frames_and_no_time() -> None:
    run = Run(50, camera(10), seconds=10, cost=lambda _, now: 1.0 if 4 < now < 4.05 else 0.03)
    during = run.after(4.3, 5)
    assert len(during) == pytest.approx(35, abs=1)
    assert max(holds(during)) <= 2
    # It begins again with what can still be in time, and not with what it has missed.
    assert origins(run.after(5.12)) == {"passed", "made"}
    assert all(abs(each - LATENCY) <= 2 * STEP for each in run.latencies())


def test_a_first_run_that_is_slow_says_nothing_of_the_machine() -> None:
    run = Run(50, camera(5), seconds=5, cost=lambda _, now: 0.5 if now < 0.3 else 0.01)
    assert origins(run.after(1.5)) == {"passed", "made"}
    assert set(run.limits) == {None}


def test_what_comes_late_but_in_time_is_evened_out() -> None:
    chance = random.Random(0)  # noqa: S311 - not for secrets
    late = [(at + chance.uniform(0, 0.08), stamp) for at, stamp in camera(20)]
    run = Run(50, late, seconds=20)
    assert origins(run.after(5)) == {"passed", "made"}
    spaces = [b.at - a.at for a, b in pairwise(run.after(5))]
    assert all(space == pytest.approx(0.02, abs=0.004) for space in spaces)


def test_a_sink_that_stalls_costs_frames_and_leaves_no_latency() -> None:
    run = Run(50, camera(20), seconds=20, taking=lambda now: 5.0 if 8 <= now < 8.02 else 0.0)
    assert not run.after(8.03, 12.9)
    assert run.pacing.counts.skipped == pytest.approx(5 * 50 - TARDY * 50, abs=2)
    assert max(run.latencies(13.1)) <= LATENCY + TARDY + 2 * STEP
    assert max(run.latencies(14)) <= LATENCY + 2 * STEP
    assert origins(run.after(14)) == {"passed", "made"}
    assert run.most_waiting < 40


def test_a_sink_that_is_slower_than_the_rate_is_given_fewer_frames() -> None:
    run = Run(50, camera(20), seconds=20, taking=lambda _: 0.03)
    assert len(run.after(10)) == pytest.approx(10 / 0.03, rel=0.05)
    assert max(run.latencies()) <= LATENCY + TARDY + 0.03
    assert run.pacing.counts.skipped > 300


def test_while_the_source_is_away_its_last_frame_is_shown_and_then_it_goes_on() -> None:
    arrivals = [*camera(5), *((at, stamp + 7) for at, stamp in camera(5, begin=15.013))]
    run = Run(50, arrivals, seconds=20, reconnects=(15,))
    away = run.after(5.3, 15)
    assert origins(away) == {"repeated"}
    assert len(away) == pytest.approx(9.7 * 50, abs=1)
    assert origins(run.after(15.5)) == {"passed", "made"}
    assert max(run.latencies(15.5)) <= LATENCY + 0.02 + 2 * STEP  # to the next tick
    assert run.most_waiting < 40


def test_after_many_interruptions_latency_is_what_it_was() -> None:
    arrivals, reconnects = [], []
    for index in range(15):
        begin = index * 2.0137
        reconnects.append(begin)
        arrivals += camera(1.5, begin=begin)
    run = Run(50, arrivals, seconds=30, reconnects=tuple(reconnects))
    assert max(run.latencies()) <= LATENCY + 0.02 + 2 * STEP


@pytest.mark.parametrize("leap", [3600, -3600, Fraction(-5, 2), 2])
def test_timestamps_that_leap_change_nothing(leap: Fraction) -> None:
    arrivals = [(at, stamp + (leap if at >= 5 else 0) + 5000) for at, stamp in camera(12)]
    run = Run(50, arrivals, seconds=12)
    assert max(run.latencies()) <= LATENCY + 0.02 + 2 * STEP
    assert origins(run.after(6)) == {"passed", "made"}


def test_what_a_server_had_in_stock_is_not_waited_through() -> None:
    stock = [(0.0, Fraction(index, 25)) for index in range(50)]
    arrivals = [*stock, *((at, stamp + 2) for at, stamp in camera(10, begin=0.04))]
    run = Run(50, arrivals, seconds=10)
    assert max(run.latencies(1)) <= LATENCY + 0.1
    assert max(run.latencies(3)) <= LATENCY + 2 * STEP
    assert origins(run.after(5)) == {"passed", "made"}


def test_a_source_that_falls_behind_for_good_is_followed() -> None:
    arrivals = [(at + (0.25 if at >= 5 else 0), stamp) for at, stamp in camera(20)]
    run = Run(50, arrivals, seconds=20)
    assert origins(run.after(10)) == {"passed", "made"}
    assert max(run.latencies(10)) <= LATENCY + 0.02


@pytest.mark.parametrize("drift", [-0.0004, 0.0004])
def test_clocks_that_drift_apart_are_followed(drift: float) -> None:
    arrivals = [(at * (1 + drift), stamp) for at, stamp in camera(200, rate=10)]
    run = Run(20, arrivals, seconds=200, rate=10)  # 80 ms in the end
    assert all(abs(each - LATENCY) <= 0.008 for each in run.latencies())
    assert "repeated" not in origins(run.after(1, 199))


def test_what_comes_too_fast_is_dropped_counted_and_fills_no_memory() -> None:
    flood = [(3.0, 3 + Fraction(index, 90_000)) for index in range(3000)]
    run = Run(50, [*camera(6), *flood], seconds=6)
    assert run.pacing.counts.read == 3000 + 150
    assert run.pacing.counts.dropped > 2800
    assert run.most_waiting < 120
    again = Run(50, [each for each in camera(4) for _ in range(3)], seconds=4)
    assert again.pacing.counts.dropped == 200
    assert origins(again.after(1)) == {"passed", "made"}


def test_more_frames_than_the_output_has_are_thinned_out() -> None:
    run = Run(60, camera(4, rate=120), seconds=4, rate=120)
    assert origins(run.after(1)) == {"passed"}
    assert len(run.after(1, 4)) == pytest.approx(180, abs=1)


def test_across_an_interval_longer_than_the_latency_nothing_is_made() -> None:
    run = Run(20, camera(10, rate=4), seconds=10, rate=4)
    assert origins(run.after(1)) == {"passed", "repeated"}
    assert run.pacing.counts.made == 0


def test_an_ended_source_is_over_when_its_last_frame_was_shown() -> None:
    run = Run(50, camera(2), seconds=1.9)
    assert not run.pacing.is_over()
    run = Run(50, camera(2), seconds=2.5)
    assert run.pacing.is_over()
    assert any(each.taken == pytest.approx(1.96, abs=STEP) for each in run.seen)
