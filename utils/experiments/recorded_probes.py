"""What probes measured during a recorded run: into the record, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from utils.analysis.landscape import GradientRecord


def probe_results(names: Mapping[str, Any], probes: Sequence[Any]) -> dict[str, Any]:
    """What the probes measured, as plain lists by name; None is what was not finite, for JSON."""
    return {name: _plain(asdict(probe.read())) for name, probe in zip(names, probes, strict=True)}


def gradient_record(run: Mapping[str, Any]) -> GradientRecord:
    """What the gradient probe of a recorded run measured; ``ValueError`` for a run without one."""
    if "gradient" not in run.get("probes", {}):
        raise ValueError(
            f"the run {run['configuration']['label']} of {run['experiment']} was recorded "
            "without a gradient probe"
        )
    arrays = {
        name: np.array(values, dtype=int if name == "steps" else float)
        for name, values in run["probes"]["gradient"].items()
    }
    return GradientRecord(**arrays)


def _plain(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: _without_infinities(values).tolist() for name, values in arrays.items()}


def _without_infinities(values: np.ndarray) -> np.ndarray:
    numbers = values.astype(object)
    numbers[~np.isfinite(values)] = None
    return numbers
