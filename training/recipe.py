"""The whole of a training run: what it begins with, its steps, and what it leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, default_collate

from export.checkpoint import load_checkpoint
from export.network import RRIN
from runtime.errors import OptionError
from runtime.publishing import Publication
from runtime.signals import signals_held
from training.samples import Sample, Samples
from training.trainer import Run, Trainer, TrainOptions

Validate = Callable[[RRIN], Mapping[str, float]]
Progress = Callable[[int, int, Mapping[str, float]], None]

_LOG_EVERY = 20


def train(
    output: str | Path,
    samples: Samples,
    options: TrainOptions | None = None,
    *,
    init: str | Path | None = None,
    width: int = 8,
    validate: Validate | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a network; where the output's state lies beside it, go on from there.

    A run that was stopped and gone on with makes the same network as one that was not, on the same
    machine with the same options.

    Args:
        output: the checkpoint, ending in .pth; its state and log are written beside it.
        samples: what is trained on.
        options: see `TrainOptions`.
        init: a checkpoint to begin from; None begins from random weights.
        width: base width of the network, where there is no `init`.
        validate: called with the running average from time to time; what it returns is logged.
        progress: called after each step with the steps done, their number and the loss's parts.

    Raises:
        CheckpointError, InputNotFoundError: `init` is none of RRIN, or missing.
        ArtifactError: the state beside the output is damaged, or of another network.
        OptionError: the output does not end in .pth, or is the checkpoint to begin from.
        OutputError: see `Publication`.
    """
    options, run = options or TrainOptions(), Run(Path(output))
    if run.checkpoint.suffix != ".pth":
        raise OptionError(f"{output}: a checkpoint is named *.pth")
    if init is not None and run.checkpoint.resolve() == Path(init).resolve():
        raise OptionError(f"{output}: is the checkpoint to begin from as well; name another")
    Publication(run.checkpoint, run.state, run.log)  # refuses now what could not be written then
    torch.manual_seed(options.seed)
    network = RRIN(width, align_corners=False) if init is None else load_checkpoint(init)
    trainer = Trainer(network, options)
    if run.state.exists():
        trainer.restore(run.state)
    if trainer.step > options.steps:
        raise OptionError(
            f"{run.state}: has taken {trainer.step} steps, more than the {options.steps} asked for"
        )
    _drop_after(run.log, trainer.step)
    started = time.perf_counter()
    try:
        for batch in _batches(samples, options, trainer.step):
            with signals_held():  # a step is taken as a whole
                parts = trainer.learn(batch)
            if progress:
                progress(trainer.step, options.steps, parts)
            last = trainer.step == options.steps
            if trainer.step % _LOG_EVERY == 0 or last:
                seconds = round(time.perf_counter() - started, 1)
                _log(run.log, {"step": trainer.step, "seconds": seconds, "loss": parts})
            if trainer.step % options.save_every == 0 or last:
                trainer.save(run)
            if validate and (trainer.step % options.validate_every == 0 or last):
                _log(run.log, {"step": trainer.step, "validation": dict(validate(trainer.average))})
    except (KeyboardInterrupt, SystemExit):  # so that no step is lost
        trainer.save(run)
        raise
    return run


def _batches(samples: Samples, options: TrainOptions, first: int) -> Iterator[Sample]:
    """Yield the batches of the steps that are left; sample n is the same in every run."""
    numbers = (
        list(range(step * options.batch, (step + 1) * options.batch))
        for step in range(first, options.steps)
    )
    loader: Any = DataLoader(
        samples,
        batch_sampler=numbers,
        num_workers=options.workers,
        collate_fn=default_collate,
    )
    return iter(loader)


def _drop_after(log: Path, step: int) -> None:
    """Drop what an interrupted run logged of steps that will be taken again."""
    if log.exists():
        kept = [entry for entry in read_log(log) if entry["step"] <= step]
        Publication(log).write("".join(f"{json.dumps(entry)}\n" for entry in kept).encode())


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
