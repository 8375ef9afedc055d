"""Sphinx extension: makes the tables of the page "Status" whenever something that they tell has changed."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # Sphinx may have been started from anywhere

from utils.publishing import status  # noqa: E402


def outdated(app, env, added, changed, removed) -> list[str]:
    """The page, if it was made from other files than there are now."""
    state = status.state_of_inputs(ROOT)
    if status.PAGE not in env.found_docs or getattr(env, "status_made_from", "") == state:
        return []
    env.status_made_from = state
    return [status.PAGE]


def fill(app, docname: str, source: list[str]) -> None:
    """Put the tables into their places."""
    if docname == status.PAGE:
        source[0] = status.filled(source[0], ROOT)


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("env-get-outdated", outdated)
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
