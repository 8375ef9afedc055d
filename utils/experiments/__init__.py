"""Named experiments, their recorded results and kept weights: ``python -m utils.experiments list``."""

from utils.experiments.comparison import chosen_claims, markdown
from utils.experiments.differences import Difference, difference
from utils.experiments.summary import MeanSd, Results, percent, results, spread
from utils.experiments.weights import Trained, trained

__all__ = [
    "Difference",
    "MeanSd",
    "Results",
    "Trained",
    "chosen_claims",
    "difference",
    "markdown",
    "percent",
    "results",
    "spread",
    "trained",
]
