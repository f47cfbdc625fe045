"""`rrin-deploy report`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrin_deploy.console import parse_size, say, short_names
from rrin_deploy.options import Backend, Device, Providers, Threads, Trust
from rrin_deploy.progress import frame_progress, waiting
from rrin_deploy.results import AsJson, document
from rrin_deploy.triplets import Middlebury, Samples, Triplets, Ucf101, Vimeo90K, chosen_triplets
from runtime.golden import ARTIFACT_SUFFIXES
from runtime.options import check_file, check_sizes
from runtime.publishing import Publication

if TYPE_CHECKING:
    from rrin_deploy.report.gathering import Gathering
    from rrin_deploy.report.page import Content
    from rrin_deploy.report.task import Task

_HERE = "this machine"
_PARTS = ("parity", "quality", "speed", "estimates")
_FACTOR = 2  # of estimates
_SUFFIXES = (".html", ".htm")


def _part(text: str) -> str:
    if text not in _PARTS:
        raise typer.BadParameter(f"{text!r} is not {', '.join(_PARTS)}")
    return text


def command(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Artifacts; the first is the base.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page.")] = Path("report.html"),
    vimeo90k: Vimeo90K = None,
    ucf101: Ucf101 = None,
    middlebury: Middlebury = None,
    triplets: Triplets = None,
    samples: Samples = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--size", help="Frame size to time and to estimate; may be repeated; default 448x256."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Timed calls of each.", min=1)] = 10,
    fps: Annotated[
        float,
        typer.Option(help="Frames a second that other devices are estimated by.", min=0.001),
    ] = 60,
    skipped: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            parser=_part,
            autocompletion=lambda: [*_PARTS],
            metavar="|".join(_PARTS),
            help="Leave a part out; repeatable.",
        ),
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="What `parity`, `eval`, `bench`, `estimate` or `report` printed with --json, such "
            "as on another machine; repeatable. Its name up to the first dot is the machine's.",
        ),
    ] = None,
    least_db: Annotated[
        float | None,
        typer.Option(
            "--fail-under",
            help="A gate: exit code 1 unless each artifact passes parity and reaches this mean "
            "PSNR to the truth, dB; 3 where it could not be run.",
            min=0,
        ),
    ] = None,
    as_json: AsJson = False,
    backend: Backend = None,
    device: Device = None,
    threads: Threads = None,
    providers: Providers = None,
    trusted: Trust = False,
) -> None:
    """Write one page of HTML: what artifacts are, how exact, how good and how fast, and where.

    It needs no network and no other file, and says what was not run. Quality is judged where a data
    set is given. What devices that are not here would reach is estimated. Figures of other machines
    stand beside those made here; with `--from` alone none are made.

    Examples:

    - `rrin-deploy report rrin.onnx rrin.ort.int8.onnx --vimeo90k vimeo_triplet`
    - `rrin-deploy report --from jetson.bench.json --from workstation.bench.json -o speed.html`
    """
    with document(as_json) as give:
        from rrin_deploy.report.documents import parsed, read_findings
        from rrin_deploy.report.page import Content, page
        from rrin_deploy.report.task import Task

        paths = files or []
        _check(paths, sources, output, as_json)
        roots = {
            "--vimeo90k": vimeo90k, "--ucf101": ucf101, "--middlebury": middlebury,
            "--triplets": triplets,
        }  # fmt: skip
        data = next(((option, root) for option, root in roots.items() if root), None)
        if paths and data:
            chosen = chosen_triplets(vimeo90k, ucf101, middlebury, triplets, samples=samples)
        elif data or samples:
            raise typer.BadParameter(
                "a data set and --samples are for artifacts, and none are judged"
            )
        else:
            chosen = None
        task = Task(
            files=paths,
            where={
                "backend": backend, "device": device, "threads": threads, "providers": providers,
                "trusted": trusted,
            },
            triplets=chosen,
            data=data,
            samples=samples,
            sizes=sizes or ["448x256"],
            rounds=rounds,
            fps=fps,
            skipped=frozenset(skipped or ()),
        )  # fmt: skip
        target = Publication(output)
        machines = read_findings(sources or [])
        if paths:
            gathering = _gather(task)
            found = gathering.document(task.commands())
            content = Content(
                {_HERE: parsed(found, "what was found here"), **machines},
                gathering.parity_pictures,
                gathering.worst_cases,
                least_db,
            )
            give(found)
        else:
            content = Content(machines, least_db=least_db)
        html = page(content).encode()
        target.write(html)
        _say(content, output, len(html))
        raise typer.Exit(0 if least_db is None else content.exit_code)


def _check(
    paths: Sequence[Path], sources: Sequence[Path] | None, output: Path, as_json: bool
) -> None:
    if not paths and not sources:
        raise typer.BadParameter("give artifacts, or --from and what was found of them elsewhere")
    if not paths and as_json:
        raise typer.BadParameter("--json prints what is found here; --from alone finds nothing")
    if output.suffix.lower() not in _SUFFIXES:
        raise typer.BadParameter(f"{output} is named as no page; expected {' or '.join(_SUFFIXES)}")
    for path in paths:
        check_file(path, "expected an artifact")
        if path.suffix.lower() not in ARTIFACT_SUFFIXES:
            raise typer.BadParameter(
                f"{path} is no artifact; expected {' or '.join(ARTIFACT_SUFFIXES)}"
            )
    if len({path.resolve() for path in paths}) < len(paths):
        raise typer.BadParameter("a file is given twice")


def _gather(task: Task) -> Gathering:
    from rrin_deploy.report.gathering import Gathering

    names = short_names(task.files)
    gathering = Gathering(dict(zip(names, task.files, strict=True)), task.where)
    sizes = [parse_size(size) for size in task.sizes]
    check_sizes("size", sizes)
    with waiting("reading artifacts"):
        gathering.inspect()
    for part in sorted(task.skipped):
        gathering.leave_out(part, "it was left out by --skip")
    if "parity" not in task.skipped:
        with waiting("comparing with PyTorch's golden outputs"):
            gathering.judge()
    if "quality" not in task.skipped:
        if task.triplets is None or task.data is None:
            gathering.leave_out("quality", "no data set was given, such as --vimeo90k ROOT")
        else:
            with frame_progress("evaluating", unit="triplets/s") as progress:
                gathering.evaluate(task.triplets, str(task.data[1]), progress)
    if "speed" not in task.skipped:
        with frame_progress("timing", unit="rounds/s") as progress:
            gathering.time(sizes, task.rounds, progress)
    if "estimates" not in task.skipped:
        gathering.expect(sizes, _FACTOR, task.fps)
    return gathering


def _say(content: Content, output: Path, size: int) -> None:
    for card in content.cards:
        reasons = "; ".join([*card.failed, *card.missing])
        place = f" on {card.machine}" if len(content.machines) > 1 else ""
        say(f"{place}: {card.status}" + (f": {reasons}" if reasons else ""), subject=card.name)
    say(f": {size / 1e6:.1f} MB", subject=output)
