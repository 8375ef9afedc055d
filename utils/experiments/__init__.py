"""Named experiments and their recorded results: ``python -m utils.experiments list``."""

from utils.experiments.summary import Figure, Results, results

__all__ = ["Figure", "Results", "results"]
