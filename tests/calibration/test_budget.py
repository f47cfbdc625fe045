"""INT8 by a budget: what hurts stays in float, and what is promised is what the file does."""

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration import Budget, BudgetError, Frames, fit_budget, triplet_folders
from calibration import budget as module
from calibration.budget import halves
from calibration.motion import motion_of
from calibration.trials import Judged, Trials
from engines import build_onnx
from precision import Ranges, load_graph, with_precision
from precision.blocks import multiply_adds
from precision.ranges import Range
from rrin_deploy import evaluation
from runtime import Interpolator
from runtime.backends import BackendName
from runtime.errors import OptionError
from runtime.metadata import Metadata, Runtime
from runtime.scene import render_bytes
from tests.conftest import write_png
from tests.models import SMALL_MODEL

pytestmark = pytest.mark.long  # INT8 is built many times

HURT = "Mask.down_path.1"
MAX_DROP = 0.15


@pytest.fixture(scope="module")
def triplets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("triplets")
    for index in range(4):
        for number in (1, 2, 3):
            frame = render_bytes(64, 64, 5 * index + (number - 1) / 2)
            write_png(root / f"t{index}" / f"im{number}.png", frame)
    return root


@pytest.fixture(scope="module")
def wrong_ranges(ranges: Ranges, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ranges that cut off most of what one block makes for itself."""
    inside = f"{HURT}.block.1/LeakyRelu"
    cut = Range(ranges.tensors[inside].low / 20, ranges.tensors[inside].high / 20)
    path = tmp_path_factory.mktemp("wrong") / "wrong.ranges.json"
    dataclasses.replace(ranges, tensors={**ranges.tensors, inside: cut}).save(path)
    return path


@pytest.fixture(scope="module")
def fitted(triplets: Path, wrong_ranges: Path) -> Budget:
    shown: list[tuple[int, int]] = []
    budget = fit_budget(
        SMALL_MODEL,
        triplet_folders(triplets),
        max_drop=MAX_DROP,
        runtime="onnxruntime",
        ranges=wrong_ranges,
        progress=lambda done, total: shown.append((done, total)),
    )
    assert [done for done, _ in shown] == list(range(1, len(shown) + 1))
    assert shown[-1] == (len(shown), len(shown))
    assert shown[0][1] == 4 + 35 * 2 + 2 - 2  # of the checks it knows later
    return budget


def test_the_block_that_hurts_stays_in_float(fitted: Budget) -> None:
    assert fitted.kept_float == (HURT,)
    assert [block.name for block in fitted.blocks] == list(multiply_adds(8))
    worst = max(fitted.blocks, key=lambda block: block.drop_db)
    assert worst.name == HURT
    assert worst.drop_db > MAX_DROP
    assert fitted.chosen.worst_db <= MAX_DROP


def test_what_is_promised_is_what_the_written_file_does(
    fitted: Budget, triplets: Path, wrong_ranges: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rrin.ort.int8.onnx"
    report = build_onnx(SMALL_MODEL, path, ranges=wrong_ranges, kept_float=fitted.kept_float)
    assert report.census == {"INT8": 73, "FLOAT": 8}
    with (
        Interpolator(SMALL_MODEL, backend="onnxruntime") as float32,
        Interpolator(path, backend="onnxruntime") as ours,
    ):
        assert ours.metadata.kept_float == (HURT,)
        cases = evaluation.evaluate({"float32": float32, "ours": ours}, triplet_folders(triplets))
    cases.sort(key=lambda case: (case.motion, case.name))
    for drop, inside in ((fitted.chosen, cases[::2]), (fitted.checked, cases[1::2])):
        found = evaluation.summarise(inside, "ours", "float32").psnr_to_first_db
        assert drop.mean_db == pytest.approx(-found)  # type: ignore[operator]
        assert drop.triplets == len(inside) == 2


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "tensorrt"])
def test_each_layout_is_tried_by_what_runs_it(
    runtime: Runtime, triplets: Path, ranges: Ranges, tmp_path: Path
) -> None:
    (first, *_) = triplet_folders(triplets)
    trials = Trials(SMALL_MODEL, ranges, runtime, tmp_path, None)
    (found,) = trials.losses(trials.judge([first]), [HURT])
    model, _ = with_precision(*load_graph(SMALL_MODEL), "int8", ranges, runtime, kept_float=[HURT])
    path = tmp_path / "rrin.int8.onnx"
    path.write_bytes(ir.to_proto(model).SerializeToString())
    backend: BackendName = "openvino" if runtime == "openvino" else "onnxruntime"
    with (
        Interpolator(SMALL_MODEL, backend=backend) as float32,
        Interpolator(path, backend=backend) as ours,
    ):
        (case,) = evaluation.evaluate({"float32": float32, "ours": ours}, [first])
    psnr = {name: score.psnr_db for name, score in case.scores.items()}
    assert found == pytest.approx(psnr["float32"] - psnr["ours"], abs=1e-6)
    assert found != 0


@dataclasses.dataclass(frozen=True)
class Named:
    name: str

    def read(self) -> Frames:
        raise AssertionError("not opened by who only sorts")


def judged(*motions: float) -> list[Judged]:
    return [Judged(Named(f"{index}"), motion, 30.0) for index, motion in enumerate(motions)]


def test_halves_share_no_triplet_and_move_alike() -> None:
    triplets = judged(9, 1, 8, 3, 7, 2, 12)
    by, others = halves(triplets)
    assert [each.motion for each in by] == [1, 3, 8, 12]
    assert [each.motion for each in others] == [2, 7, 9]


class Pretended:
    """Trials whose losses are known: each block's by triplet, and `rest` whatever is float."""

    metadata = Metadata("ab" * 32, 8, False, 32, "uint8", "fp32", 19, "a test")

    def __init__(
        self, triplets: list[Judged], cost: dict[str, Sequence[float]], rest: float = 0.0
    ) -> None:
        self.triplets, self.cost, self.rest = triplets, cost, rest
        self.tried: list[frozenset[str]] = []

    def expect(self, runs: int) -> None:
        pass

    def judge(self, _: object) -> list[Judged]:
        return self.triplets

    def losses(self, judged: Sequence[Judged], kept: Collection[str]) -> list[float]:
        self.tried.append(frozenset(kept))
        int8 = [value for name, value in self.cost.items() if name not in kept]
        sums = self.rest + np.sum(int8, 0) if int8 else np.full(len(self.triplets), self.rest)
        return [float(sums[self.triplets.index(each)]) for each in judged]


def fit(
    pretended: Pretended, max_drop: float, monkeypatch: pytest.MonkeyPatch, ranges: Path
) -> Budget:
    monkeypatch.setattr(module, "Trials", lambda *_: pretended)
    names = [Named(each.sample.name) for each in pretended.triplets]
    return fit_budget(SMALL_MODEL, names, max_drop=max_drop, ranges=ranges)


SLOW = [1.0, 1.0, 1.0, 1.0]  # motion


def test_what_stays_in_float_is_cheap_and_no_more_than_needed(
    monkeypatch: pytest.MonkeyPatch, wrong_ranges: Path
) -> None:
    # The middle costs a fifth of the way up, in multiply-adds, and its dB are nearly as many.
    cost = {"Mask.midconv": [0.05] * 4, "Mask.up_path.0": [0.06] * 4, "final.midconv": [0.01] * 4}
    pretended = Pretended(judged(*SLOW), cost)
    budget = fit(pretended, 0.08, monkeypatch, wrong_ranges)
    assert budget.kept_float == ("Mask.midconv",)
    assert budget.chosen.mean_db == pytest.approx(0.07)
    assert len(set(pretended.tried[:-1])) == len(pretended.tried) - 1  # none is measured twice
    # Nothing is kept where nothing has to be, and what was kept too much is given back.
    assert fit(Pretended(judged(*SLOW), cost), 0.13, monkeypatch, wrong_ranges).kept_float == ()
    cost = {**cost, "final.midconv": [0.02] * 4}
    less = fit(Pretended(judged(*SLOW), cost), 0.07, monkeypatch, wrong_ranges)
    assert less.kept_float == ("Mask.midconv", "final.midconv")


def test_what_is_dearer_together_is_seen(
    monkeypatch: pytest.MonkeyPatch, wrong_ranges: Path
) -> None:
    class Worse(Pretended):
        def losses(self, judged: Sequence[Judged], kept: Collection[str]) -> list[float]:
            both = {"Mask.midconv", "final.midconv"}.isdisjoint(kept)
            return [loss + 0.5 * both for loss in super().losses(judged, kept)]

    cost = {"Mask.midconv": [0.01] * 4, "final.midconv": [0.02] * 4, "Flow_L.midconv": [0.05] * 4}
    budget = fit(Worse(judged(*SLOW), cost), 0.1, monkeypatch, wrong_ranges)
    assert len({"Mask.midconv", "final.midconv"} & {*budget.kept_float}) == 1
    assert "Flow_L.midconv" not in budget.kept_float  # given back
    assert budget.chosen.worst_db <= 0.1


def test_each_motion_has_the_budget_that_the_mean_has(
    monkeypatch: pytest.MonkeyPatch, wrong_ranges: Path
) -> None:
    # Chosen by are 1, 1, 5, 5 and 20; a bucket of one is none.
    motions = [1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 20.0]
    fast, lone = [-0.1] * 4 + [0.2] * 4 + [0.0], [0.0] * 8 + [0.3]
    pretended = Pretended(judged(*motions), {"Mask.midconv": fast, "final.midconv": lone})
    budget = fit(pretended, 0.1, monkeypatch, wrong_ranges)
    assert budget.kept_float == ("Mask.midconv",)
    assert budget.chosen.triplets == 5
    assert budget.chosen.worst_db == budget.chosen.mean_db == pytest.approx(0.06)


def test_a_budget_that_cannot_be_kept_says_what_can(
    monkeypatch: pytest.MonkeyPatch, wrong_ranges: Path
) -> None:
    everywhere = {name: [0.1] * 4 for name in multiply_adds(8)}
    for rest in (0.0, 0.07):
        pretended = Pretended(judged(*SLOW), everywhere, rest)
        with pytest.raises(
            BudgetError, match=rf"0\.05 dB at most no block can .* {0.1 + rest:.4f} dB"
        ):
            fit(pretended, 0.05, monkeypatch, wrong_ranges)


def test_what_makes_no_sense_is_refused(wrong_ranges: Path) -> None:
    one = [Named("one")]
    with pytest.raises(OptionError, match="triplets has 1; expected two or more"):
        fit_budget(SMALL_MODEL, one, max_drop=0.1, ranges=wrong_ranges)
    with pytest.raises(OptionError, match="max_drop is -1; expected a finite number, 0 or more"):
        fit_budget(SMALL_MODEL, one * 2, max_drop=-1, ranges=wrong_ranges)
    with pytest.raises(OptionError, match="runtime is 'nope'"):
        fit_budget(SMALL_MODEL, one * 2, max_drop=1, ranges=wrong_ranges, runtime="nope")  # type: ignore[arg-type]


def test_motion_is_that_of_the_inputs() -> None:
    black, grey = (np.full((4, 4, 3), value, np.uint8) for value in (0, 12))
    assert motion_of(Frames(black, np.full_like(black, 200), grey)) == 12
