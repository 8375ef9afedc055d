"""Multiply-adds of the networks of runs, kept in the cache folder: to count them takes a while."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch

from utils.analysis.accounting import account
from utils.data.folders import cache_folder
from utils.experiments.catalogue.order import Run
from utils.experiments.queue.speeds import code_digest, shape_of
from utils.experiments.unfinished import replace_text
from utils.models import build_model


class Costs:
    """Multiply-adds for one image, counted once for each network.

    ``patience``: seconds to count for in all (None: no limit).
    """

    def __init__(self, code: Path, patience: float | None = None) -> None:
        self.file = cache_folder() / f"macs-{code_digest(code, ('models',))}.json"
        self.patience = patience
        self._known: dict[str, int] = self._read()

    def of(self, run: Run) -> int | None:
        """The multiply-adds; None if the data are not known here, or the patience is over."""
        key = json.dumps(
            [run.configuration.model, dict(run.configuration.model_options), run.dataset], default=str
        )
        if key not in self._known and (self.patience is None or self.patience > 0):
            began = time.monotonic()
            self._count(key, run)
            if self.patience is not None:
                self.patience -= time.monotonic() - began
        return self._known.get(key)

    def _count(self, key: str, run: Run) -> None:
        known = shape_of(run.dataset)
        if known is None:
            return
        _, shape, classes = known
        with torch.device("meta"):
            model = build_model(
                run.configuration.model, num_classes=classes, **run.configuration.model_options
            )
        self._known[key] = account(model, shape).total_macs
        self.file.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self.file, json.dumps({**self._read(), **self._known}, indent=0))

    def _read(self) -> dict[str, int]:
        try:
            told = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}
