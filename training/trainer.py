"""Training RRIN, resumable at every step."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.network import RRIN
from runtime.errors import ArtifactError, OptionError, RrinError
from runtime.options import check_whole
from runtime.publishing import Publication
from training.losses import Weights, losses
from training.samples import Batch, Samples

_EMA = 0.999
_WARM_UP = 100  # steps until the learning rate is reached, or a tenth of all
# What may be another when a run goes on.
_FREE = {"steps", "save_every", "validate_every", "compiled"}


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Attributes:
        steps: of the optimiser, in all; the learning rate falls to a hundredth by a cosine.
        batch: samples a step. More makes a step's direction surer and its time longer.
        learning_rate: 1e-3 from scratch; 3e-4 to go on from a trained network.
        weights: of the loss's parts.
        seed: of the first weights, where none are given.
        bf16: convolutions in bfloat16, all but the U-Nets' last ones; faster where the device has
            it.
        compiled: U-Nets compiled by torch.compile; faster on GPUs, after a minute.
        save_every, validate_every: steps.

    Raises:
        OptionError: an argument that is not as above.
    """

    steps: int = 20_000
    batch: int = 4
    learning_rate: float = 3e-4
    weights: Weights = field(default_factory=Weights)
    seed: int = 0
    bf16: bool = False
    compiled: bool = False
    save_every: int = 200
    validate_every: int = 2000

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "save_every", "validate_every"):
            check_whole(name, getattr(self, name), 1)
        if not 0 < self.learning_rate < math.inf:
            raise OptionError(f"learning_rate is {self.learning_rate}; expected more than 0")


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

    def __init__(self, network: RRIN, options: TrainOptions, samples: Samples) -> None:
        self.options, device = options, samples.device
        self._binding = {
            **{f"samples' {name}": value for name, value in samples.settings.items()},
            **{name: value for name, value in asdict(options).items() if name not in _FREE},
        }
        self.step = 0
        self.average = RRIN(network.base_width, align_corners=network.align_corners)
        self.average.load_state_dict(network.state_dict())
        self.average.to(device).eval().requires_grad_(False)
        for unet in network.children():
            unet.last = _in_float32(cast(nn.Conv2d, unet.last))
        self.network = network.to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.train().requires_grad_(True)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), options.learning_rate, betas=(0.9, 0.99),
            weight_decay=1e-4, fused=True,
        )  # fmt: skip
        self._across = self._norm = torch.zeros(())
        self.network.Flow_L.register_forward_hook(self._keep_across)
        if options.compiled:
            for unet in self.network.children():
                unet.forward = torch.compile(unet.forward)

    def _keep_across(self, _unet: nn.Module, _inputs: object, output: Tensor) -> None:
        self._across = output

    def learn(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step on a batch; return the parts of the loss, scalars on the device.

        They are weighted as the options say, so that they can be compared over the run: that the
        flow counts more at first is not in them.
        """
        options = self.options
        for group in self._optimiser.param_groups:
            group["lr"] = options.learning_rate * self._pace()
        window = F.pad(batch.t.new_full((2,), batch.frame0.shape[-1]), (2, 0))  # (0, 0, S, S)
        with torch.autocast(batch.t.device.type, torch.bfloat16, enabled=options.bf16):
            stages = self.network.stages(batch.frame0, batch.frame1, batch.t, window)
        parts = losses(
            stages, self._across, batch, options.weights, align_corners=self.network.align_corners
        )
        loss = torch.stack([*parts.values()]).sum() + (self._flow_pace() - 1) * parts["flow"]
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimiser.step()
        self.step += 1
        self._follow()
        return {name: part.detach() for name, part in parts.items()}

    def check(self, parts: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the parts of the last step's loss as numbers; waits for the device.

        Raises:
            DivergedError: this step or one before it came to values that are not finite.
        """
        found = {name: float(part) for name, part in parts.items()}
        if not all(math.isfinite(value) for value in (*found.values(), float(self._norm))):
            raise DivergedError(
                f"the loss is no number any more at step {self.step}; what was saved before stays: "
                "go on from it with a lower learning rate"
            )
        return found

    def is_finite(self) -> bool:
        """Say whether all weights are numbers."""
        return all(bool(weight.isfinite().all()) for weight in self.network.parameters())

    def _done(self) -> float:
        return min(1.0, self.step / self.options.steps)

    def _pace(self) -> float:
        warm = min(1.0, (self.step + 1) / min(_WARM_UP, self.options.steps / 10))
        return max(warm * (0.5 + 0.5 * math.cos(math.pi * self._done())), 0.01)

    def _flow_pace(self) -> float:
        """From 5 to 1/5: what moves far is found first; where flows blur, details decide later."""
        return float(5 * 0.04 ** self._done())

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
            "options": self._binding,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        about = {"align_corners": self.average.align_corners}
        kept = {"state_dict": self.average.state_dict(), **about}
        Publication(run.checkpoint, run.state).write(_stored(kept), _stored({**state, **about}))

    def restore(self, path: Path) -> None:
        """Go on where `save` left off.

        Raises:
            ArtifactError: the file is no state of this network.
            OptionError: it was trained with other options.
        """
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
            before = dict(state["options"])
        except Exception as error:  # PyTorch's loader breaks in many ways
            raise ArtifactError(
                f"{path}: not the state of such a training run; delete it to begin anew, or name "
                "another output"
            ) from error
        for name, now in self._binding.items():
            if before.get(name) != now:
                raise OptionError(
                    f"{path}: was trained with {name} {before.get(name)}, not {now}; give the "
                    "same to go on, or name another output"
                )


class _Float32Conv(nn.Conv2d):
    """A convolution in float32 under autocast: bfloat16 would round a flow of 60 pixels by 0.1."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def _in_float32(conv: nn.Conv2d) -> nn.Conv2d:
    same = _Float32Conv(conv.in_channels, conv.out_channels, kernel_size=3, padding=1)
    same.load_state_dict(conv.state_dict())
    return same


def _stored(content: Mapping[str, Any]) -> bytes:
    stored = io.BytesIO()
    torch.save(dict(content), stored)
    return stored.getvalue()
