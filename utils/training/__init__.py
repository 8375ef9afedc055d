"""Training: one loop for every lab and experiment, with schedules, early stopping and checkpoints."""

from utils.training import losses, schedules
from utils.training.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from utils.training.fitting import fit
from utils.training.history import Diverged, History
from utils.training.loop import Epoch, Evaluation, evaluate, predict, train_one_epoch
from utils.training.precision import Settings, choose_settings
from utils.training.schedules import Schedule

__all__ = [
    "CheckpointError",
    "Diverged",
    "Epoch",
    "Evaluation",
    "History",
    "Schedule",
    "Settings",
    "choose_settings",
    "evaluate",
    "fit",
    "load_checkpoint",
    "losses",
    "predict",
    "save_checkpoint",
    "schedules",
    "train_one_epoch",
]
