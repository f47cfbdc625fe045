"""The whole of a training run: what it begins with, its steps, and what it leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from export.checkpoint import load_checkpoint
from export.network import RRIN
from runtime.errors import OptionError
from runtime.publishing import Publication
from runtime.signals import signals_held
from training.samples import Samples
from training.trainer import Run, Trainer, TrainOptions
from training.widening import widened

Validate = Callable[[RRIN], Mapping[str, float]]
Progress = Callable[[int, int], None]

_LOG_EVERY = 20
_WIDTH = 8  # from random weights


def train(
    output: str | Path,
    samples: Samples,
    options: TrainOptions | None = None,
    *,
    init: str | Path | None = None,
    width: int | None = None,
    validate: Validate | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a network; where the output's state lies beside it, go on from there.

    A run that was stopped and gone on with makes the same network as one that was not, on the same
    CPU with the same options; on a GPU, up to the order in which it adds.

    Args:
        output: the checkpoint, ending in .pth; its state and log are written beside it.
        samples: what is trained on, and where.
        options: see `TrainOptions`.
        init: a checkpoint to begin from; None begins from random weights.
        width: base width of the network, None for the checkpoint's, or 8; a checkpoint of a
            smaller width is widened, see `widened`.
        validate: called with the running average from time to time; what it returns is logged.
        progress: called after each step with the steps done and their number.

    Raises:
        CheckpointError, InputNotFoundError: `init` is none of RRIN, or missing.
        ArtifactError: the state beside the output is damaged, or of another network.
        OptionError: the output does not end in .pth, or is the checkpoint to begin from; `width` is
            less than that checkpoint's; or the state is of a run with other options.
        DivergedError: the loss is no number any more; what was saved stays.
        OutputError: see `Publication`.
    """
    options, run = options or TrainOptions(), Run(Path(output))
    if run.checkpoint.suffix != ".pth":
        raise OptionError(f"{output}: a checkpoint is named *.pth")
    if init is not None and run.checkpoint.resolve() == Path(init).resolve():
        raise OptionError(f"{output}: is the checkpoint to begin from as well; name another")
    Publication(run.checkpoint, run.state, run.log)  # refuses now what could not be written then
    trainer = Trainer(_first(init, width, options.seed), options, samples)
    if run.state.exists():
        trainer.restore(run.state)
    if trainer.step > options.steps:
        raise OptionError(
            f"{run.state}: has taken {trainer.step} steps, more than the {options.steps} asked for"
        )
    before = _drop_after(run.log, trainer.step)
    started = time.perf_counter() - before
    try:
        while trainer.step < options.steps:
            batch = samples.batch(trainer.step, options.batch)
            with signals_held():  # a step is taken as a whole
                parts = trainer.learn(batch)
            if progress:
                progress(trainer.step, options.steps)
            last = trainer.step == options.steps
            saved = trainer.step % options.save_every == 0 or last
            if trainer.step % _LOG_EVERY == 0 or saved:
                seconds, loss = round(time.perf_counter() - started, 1), trainer.check(parts)
                _log(run.log, {"step": trainer.step, "seconds": seconds, "loss": loss})
            if saved:
                trainer.save(run)
            if validate and (trainer.step % options.validate_every == 0 or last):
                _log(run.log, {"step": trainer.step, "validation": dict(validate(trainer.average))})
    except (KeyboardInterrupt, SystemExit):  # so that no step is lost
        if trainer.is_finite():
            trainer.save(run)
        raise
    return run


def _first(init: str | Path | None, width: int | None, seed: int) -> RRIN:
    torch.manual_seed(seed)
    if init is None:
        return RRIN(_WIDTH if width is None else width, align_corners=False)
    network = load_checkpoint(init)
    return network if width in (None, network.base_width) else widened(network, width)


def _drop_after(log: Path, step: int) -> float:
    """Drop what an interrupted run logged of steps that will be taken again.

    Return the seconds that the others took.
    """
    if not log.exists():
        return 0.0
    kept = [entry for entry in read_log(log) if entry["step"] <= step]
    Publication(log).write("".join(f"{json.dumps(entry)}\n" for entry in kept).encode())
    return max((float(entry.get("seconds", 0)) for entry in kept), default=0.0)


def read_log(log: Path) -> list[dict[str, Any]]:
    """Return a log's entries; a run that was killed may have left half a line at the end."""
    entries = []
    for line in log.read_text().splitlines():
        with suppress(ValueError):
            entries.append(json.loads(line))
    return entries


def _log(log: Path, entry: Mapping[str, Any]) -> None:
    with log.open("a") as file:
        file.write(json.dumps(entry) + "\n")
