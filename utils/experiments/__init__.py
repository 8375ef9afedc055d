"""Named experiments, their recorded results and kept weights: ``python -m utils.experiments list``."""

from utils.experiments.differences import interval, is_clear
from utils.experiments.summary import Figure, Results, results
from utils.experiments.weights import Trained, trained

__all__ = ["Figure", "Results", "Trained", "interval", "is_clear", "results", "trained"]
