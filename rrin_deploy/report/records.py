"""What a report says, as its page is drawn from: the JSON of `parity`, `eval` and `bench`, by type.

That JSON may come from other machines, other versions and strangers: fields that a page does not
show are passed over, all others are held against their type and bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Annotated, Any, TypeVar

from runtime.records import Between, Matching, dataclass_of, typed

Self = TypeVar("Self", bound="Known")

Text = Annotated[str, Matching("(?s).{0,1000}", "a text of at most 1000 characters")]
_Number = Annotated[float, Between(-1e18, 1e18)]
_Seconds = Annotated[float, Between(1e-9, 1e9)]
_Rate = Annotated[float, Between(0, 1e18)]
_Count = Annotated[int, Between(0, 2**62)]
_Side = Annotated[int, Between(1, 65536)]
_ENTRIES = 100  # of a mapping


class Known:
    """A record that is read by the fields it has; those with a default may be missing."""

    @classmethod
    def from_json(cls: type[Self], value: object) -> Self:
        """Read it; ValueError where a field is missing or not what its annotation allows."""
        given = typed(Mapping[str, Any], value)
        values: dict[str, Any] = {}
        for each in fields(cls):  # type: ignore[arg-type]  # each is a dataclass
            if each.name in given:
                values[each.name] = given[each.name]
            elif each.default is not MISSING:
                values[each.name] = each.default
            elif each.default_factory is not MISSING:
                values[each.name] = each.default_factory()
        for name, entries in values.items():
            if isinstance(entries, dict) and len(entries) > _ENTRIES:
                raise ValueError(f"{name} has {len(entries)} entries, expected {_ENTRIES} at most")
        return dataclass_of(cls, values)


@dataclass(frozen=True)
class Limits(Known):
    """As `runtime.limits.Limits`."""

    max_abs_error: _Number
    min_psnr_db: _Number


@dataclass(frozen=True)
class ParityCase(Known):
    """As `runtime.verdicts.CaseResult`."""

    width: _Side
    height: _Side
    t: _Number
    max_abs_error: _Number
    psnr_db: _Number | None
    equal_share: _Number
    not_finite: _Count
    limits: Limits
    passed: bool


@dataclass(frozen=True)
class Parity(Known):
    """As `rrin-deploy parity --json`; with an `error` there are no cases."""

    passed: bool
    artifact: Text = ""
    reference: Text = ""
    backend: Text = ""
    precision: Text = ""
    io: Text = ""
    limits_from: Text = ""
    cases: Annotated[tuple[ParityCase, ...], Between(0, 1000)] = ()
    error: Text | None = None

    def __post_init__(self) -> None:
        if self.passed != (bool(self.cases) and all(case.passed for case in self.cases)):
            raise ValueError("has a verdict that its cases do not bear out")


@dataclass(frozen=True)
class Summary(Known):
    """As `rrin_deploy.evaluation.Summary`; without a PSNR where all triplets are exact."""

    triplets: _Count
    exact: _Count
    psnr_db: _Number | None
    ssim: _Number
    psnr_to_first_db: _Number | None
    ssim_to_first: _Number


@dataclass(frozen=True)
class Contender(Summary):
    """A contender of `rrin-deploy eval`: its means, by motion as well, and its worst triplets."""

    by_motion: Mapping[str, Summary]
    worst: Annotated[tuple[Text, ...], Between(0, _ENTRIES)]


@dataclass(frozen=True)
class Score(Known):
    """As `rrin_deploy.evaluation.Score`; without a PSNR where every pixel is right."""

    psnr_db: _Number | None
    ssim: _Number


@dataclass(frozen=True)
class Case(Known):
    """As `rrin_deploy.evaluation.Case`."""

    name: Text
    motion: _Number
    scores: Mapping[str, Score]


@dataclass(frozen=True)
class Quality(Known):
    """As `rrin-deploy eval --json`."""

    data: Text
    triplets: _Count
    contenders: Mapping[str, Contender]
    cases: Annotated[tuple[Case, ...], Between(1, 100_000)]

    def __post_init__(self) -> None:
        if not self.contenders:
            raise ValueError("has no contenders")


@dataclass(frozen=True)
class Backend(Known):
    """As `runtime.session.Backend`."""

    library: Text
    version: Text
    device: Text


@dataclass(frozen=True)
class Timing(Known):
    """As `rrin_deploy.bench.benchmark.Timing`; with a `failure` there are no figures."""

    name: Text
    kind: Text
    failure: Text | None = None
    median_seconds: _Seconds | None = None
    quartiles_seconds: tuple[_Seconds, _Seconds] | None = None
    times_as_fast_as_first: _Number | None = None
    first_frame_seconds: _Number | None = None
    peak_bytes: _Count | None = None
    psnr_db: _Number | None = None
    share_of_ceiling: _Number | None = None
    backend: Backend | None = None

    def __post_init__(self) -> None:
        if self.failure is None and None in (self.median_seconds, self.quartiles_seconds):
            raise ValueError("has neither figures nor the failure that explains why")


@dataclass(frozen=True)
class Speed(Known):
    """As one of the list of `rrin-deploy bench --json`."""

    size: tuple[_Side, _Side]
    times: Annotated[int, Between(1, 10_000)]
    threads: _Count
    ceiling_multiply_adds_per_second: Mapping[str, _Number]
    contenders: Annotated[tuple[Timing, ...], Between(1, _ENTRIES)]


@dataclass(frozen=True)
class Expected(Known):
    """What is expected in a precision: frames a second of the result, from the least on."""

    precision: Text
    best_fps: _Rate
    expected_fps: tuple[_Rate, _Rate]
    bound_by: Text
    verdict: Text
    fits: bool
    device_memory_bytes: _Number | None = None


@dataclass(frozen=True)
class DeviceName(Known):
    """A device, and where its figures stand."""

    name: Text
    source: Text


@dataclass(frozen=True)
class RehearsedVideo(Known):
    """A video whose decoding and encoding are counted in."""

    file: Text


@dataclass(frozen=True)
class Estimated(Known):
    """As `rrin-deploy estimate --json`; `precision` is the file's own."""

    file: Text
    size: tuple[_Side, _Side]
    factor: Annotated[int, Between(2, 64)]
    fps: _Rate
    device: DeviceName
    precision: Text
    estimates: Annotated[tuple[Expected, ...], Between(1, 10)]
    video: RehearsedVideo | None = None

    @property
    def own(self) -> Expected:
        """What is expected of the file as it is."""
        return next(each for each in self.estimates if each.precision == self.precision)

    def __post_init__(self) -> None:
        if self.precision not in {each.precision for each in self.estimates}:
            raise ValueError(f"has no estimate of its own precision, {self.precision}")


@dataclass(frozen=True)
class Artifact(Known):
    """A file.

    Attributes:
        facts: what else `inspect` says, by name.
        census: the U-Nets' convolutions by type.
        layers: of an ONNX file how many nodes it has of each operator, of an engine how many
            kernels of each kind; empty where that is not known.
        context_bytes: of an engine, see `Manifest`.
        moved_bytes: that an engine's kernels read and write, where that is known.
    """

    name: Text
    kind: Text
    bytes: _Count
    precision: Text
    facts: Mapping[str, Text]
    census: Mapping[str, _Count]
    layers: Mapping[str, _Count]
    context_bytes: _Count | None = None
    moved_bytes: _Count | None = None


@dataclass(frozen=True)
class NotRun(Known):
    """A part that was not run, of what, and why."""

    part: Text
    subject: Text
    why: Text


@dataclass(frozen=True)
class Findings(Known):
    """All that one machine found, as `rrin-deploy report --json`.

    Attributes:
        version: of rrin-deploy; empty where it is not known, as in what other commands write.
        machine: facts, by name.
        commands: how to make the figures again, by part.
    """

    version: Text = ""
    machine: Mapping[str, Text] = field(default_factory=dict)
    artifacts: Annotated[tuple[Artifact, ...], Between(0, _ENTRIES)] = ()
    parity: Annotated[tuple[Parity, ...], Between(0, _ENTRIES)] = ()
    quality: Quality | None = None
    speed: Annotated[tuple[Speed, ...], Between(0, _ENTRIES)] = ()
    estimates: Annotated[tuple[Estimated, ...], Between(0, 10_000)] = ()
    not_run: Annotated[tuple[NotRun, ...], Between(0, 1000)] = ()
    commands: Mapping[str, Annotated[tuple[Text, ...], Between(0, _ENTRIES)]] = field(
        default_factory=dict
    )
