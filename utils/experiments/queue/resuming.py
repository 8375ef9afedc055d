"""Which code an interrupted run goes on with: that of the commit it began with, so that no run mixes two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from utils.experiments.catalogue.order import Run
from utils.experiments.unfinished import Origin, definition_of


def code_of_begun(
    origin: Origin | None, run: Run, commit: str, code: Path, exported: Callable[[str], Path | None]
) -> tuple[Path | None, str]:
    """The folder with the code that an unfinished run goes on with; or None, and why it must begin again."""
    if origin is None or not origin.commits:
        return None, "nothing tells which code it began with"
    if origin.definition != definition_of(run.configuration, run.budget):
        return None, "the catalogue now asks for something else"
    began = origin.commits[-1]
    if began == commit:
        return code, ""
    found = exported(began)
    if found is None:
        return None, f"the repository does not have the code it began with ({began[:13]})"
    if not (found / "utils" / "experiments" / "queue" / "worker.py").is_file():
        return None, f"the code it began with ({began[:13]}) is older than the queue"
    return found, ""
