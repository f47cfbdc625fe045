"""Training RRIN: resumable at every step, the same on CPU and GPU."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.network import RRIN
from runtime.errors import ArtifactError, OptionError, RrinError
from runtime.publishing import Publication
from training.losses import Weights, losses
from training.samples import Sample

_EMA = 0.999
_WARM_UP = 100  # steps until the learning rate is reached, or a tenth of all


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Attributes:
        steps: of the optimiser, in all; the learning rate falls to a hundredth by a cosine.
        batch: samples a step. More makes a step's direction surer and its time longer.
        learning_rate: 1e-3 from scratch; 3e-4 to go on from a trained network.
        flow_first: share of the steps in which the flow counts five times as much: what moves far
            is found before details are.
        weights: of the loss's parts.
        seed: of the first weights, where none are given.
        workers: processes that make samples beside; 0 makes them in between.
        device: of PyTorch, such as cpu or cuda.
        bf16: convolutions in bfloat16; faster where the device has it.
        save_every, validate_every: steps.
    """

    steps: int = 20_000
    batch: int = 4
    learning_rate: float = 3e-4
    flow_first: float = 0.2
    weights: Weights = field(default_factory=Weights)
    seed: int = 0
    workers: int = 0
    device: str = "cpu"
    bf16: bool = False
    save_every: int = 200
    validate_every: int = 2000


@dataclass(frozen=True)
class Run:
    """The files of a training run: the checkpoint, what it takes to go on, and its log."""

    checkpoint: Path

    @property
    def state(self) -> Path:
        """Weights, optimiser and step, for resuming."""
        return self.checkpoint.with_suffix(".state.pth")

    @property
    def log(self) -> Path:
        """A JSON object a line: losses every 20 steps, and what validation gave."""
        return self.checkpoint.with_suffix(".log.jsonl")


class DivergedError(RrinError, ArithmeticError):
    """Training has come to values that are not finite."""


class Trainer:
    """A network under training, and its running average, which is what is kept."""

    def __init__(self, network: RRIN, options: TrainOptions) -> None:
        self.options = options
        self.step = 0
        _check_device(options.device)
        self.network = network.to(options.device).train().requires_grad_(True)
        self.average = RRIN(network.base_width, align_corners=network.align_corners)
        self.average.load_state_dict(network.state_dict())
        self.average.to(options.device).eval().requires_grad_(False)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), options.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self._across = torch.empty(0)
        for unet in self.network.children():
            unet.register_forward_hook(self._in_float32)

    def _in_float32(self, unet: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        """Let flows, grids and the blend be float32, whatever the convolutions were in."""
        made = output.float()
        if unet is self.network.Flow_L:
            self._across = made
        return made

    def learn(self, sample: Sample) -> dict[str, float]:
        """Take one step on a batch; return the parts of the loss."""
        options, sample = self.options, Sample(*(each.to(self.options.device) for each in sample))
        for group in self._optimiser.param_groups:
            group["lr"] = options.learning_rate * self._pace()
        size = sample.frame0.shape[-1]
        window = torch.tensor([0.0, 0.0, size, size], device=options.device)
        device = torch.device(options.device).type
        with torch.autocast(device, torch.bfloat16, enabled=options.bf16):
            stages = self.network.stages(sample.frame0, sample.frame1, sample.t, window)
        self._check_finite(stages.mask)
        weights = options.weights
        if self.step < options.flow_first * options.steps:
            weights = replace(weights, flow=5 * weights.flow)
        parts = losses(
            stages, self._across, sample, weights, align_corners=self.network.align_corners
        )
        self._optimiser.zero_grad()
        torch.stack([*parts.values()]).sum().backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._check_finite(norm)
        self._optimiser.step()
        self.step += 1
        self._follow()
        return {name: float(part.detach()) for name, part in parts.items()}

    def _check_finite(self, values: Tensor) -> None:
        if not torch.isfinite(values).all():
            raise DivergedError(
                f"the loss is no number any more at step {self.step}; what was saved before stays: "
                "go on from it with a lower learning rate"
            )

    def _pace(self) -> float:
        warm = min(1.0, (self.step + 1) / min(_WARM_UP, self.options.steps / 10))
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, self.step / self.options.steps))
        return max(warm * cosine, 0.01)

    def _follow(self) -> None:
        share = 1 - min(_EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, weight in zip(
                self.average.parameters(), self.network.parameters(), strict=True
            ):
                average.lerp_(weight, share)

    def save(self, run: Run) -> None:
        """Publish the checkpoint and the state together."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        about = {"align_corners": self.average.align_corners}
        kept = {"state_dict": self.average.state_dict(), **about}
        Publication(run.checkpoint, run.state).write(_stored(kept), _stored({**state, **about}))

    def restore(self, path: Path) -> None:
        """Go on where `save` left off; ArtifactError where the file is no state of this network."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["align_corners"] is not self.network.align_corners:
                raise ValueError("align_corners differs")
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.step = int(state["step"])
            if not self.step >= 0:
                raise ValueError("a negative step")
        except Exception as error:  # PyTorch's loader breaks in many ways
            raise ArtifactError(
                f"{path}: not the state of such a training run; delete it to begin anew, or name "
                "another output"
            ) from error


def _check_device(name: str) -> None:
    try:
        torch.empty(1, device=name)
    except Exception as error:  # of several classes, by what is missing
        raise OptionError(
            f"device is {name}, which PyTorch does not have here; expected cpu, or cuda with a GPU"
        ) from error


def _stored(content: Mapping[str, Any]) -> bytes:
    stored = io.BytesIO()
    torch.save(dict(content), stored)
    return stored.getvalue()
