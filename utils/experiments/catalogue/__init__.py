"""All experiments by name.

A new one is found here by the tuple ``EXPERIMENTS`` with which its module ends. ``order`` says which of their
runs the queue does, and in which order.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from utils.experiments.configuration import Experiment, WrongUse, closest, meant

OTHERS = {"claims", "literature", "order"}  # modules of this folder that define no experiments


def gathered(modules: Iterable[ModuleType]) -> dict[str, Experiment]:
    """The experiments of these modules by name.

    ``ValueError`` if a module has no ``EXPERIMENTS``, or if two experiments have the same name.
    """
    found: dict[str, Experiment] = {}
    for module in modules:
        if not getattr(module, "EXPERIMENTS", ()):
            raise ValueError(
                f"{module.__name__} has no EXPERIMENTS: end it with the tuple of those it defines"
            )
        for experiment in module.EXPERIMENTS:
            if experiment.id in found:
                raise ValueError(f"two experiments are named {experiment.id!r}, one in {module.__name__}")
            found[experiment.id] = experiment
    return found


EXPERIMENTS: dict[str, Experiment] = gathered(
    importlib.import_module(f"{__name__}.{name}")
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in OTHERS
)


def find(experiment_id: str) -> Experiment:
    """The experiment of that name, however its capitals are; ``ValueError`` listing the names otherwise."""
    known = tuple(EXPERIMENTS)
    found = meant(experiment_id, known)
    if found is None:
        raise WrongUse(
            f"unknown experiment {experiment_id!r}{closest(experiment_id, known)}; there are "
            f"{', '.join(known)}"
        )
    return EXPERIMENTS[found]
