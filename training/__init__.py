"""Training and fine-tuning RRIN: the recipe of the bundled model. Needs torch and PyAV.

from training import Samples, free_stills, read_runs, train

runs = read_runs("clips/", smallest=192, most_bytes=2**31)
train("mine.pth", Samples(free_stills(), runs, 192, 0.6, seed=0), init="start.pth")
"""

from training.losses import Weights
from training.material import free_stills, read_runs, read_stills
from training.recipe import read_log, train
from training.samples import Batch, Samples
from training.trainer import DivergedError, Run, TrainOptions

__all__ = [
    "Batch",
    "DivergedError",
    "Run",
    "Samples",
    "TrainOptions",
    "Weights",
    "free_stills",
    "read_log",
    "read_runs",
    "read_stills",
    "train",
]
