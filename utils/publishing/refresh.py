"""Executing a lab to renew the outputs that stay in git: those of its ``nbval-check-output`` cells."""

from __future__ import annotations

import copy
import os
from pathlib import Path

from nbclient import NotebookClient

from utils.publishing.notebooks import KEEP_OUTPUT, read, strip, tags, write

CELL_TIMEOUT = 600  # seconds


def refresh(path: Path) -> int:
    """Run the lab in the smoke profile and keep the outputs of its checked cells; returns how many they are.

    The outputs must be the same in every profile. ``nbclient.exceptions.CellExecutionError`` if a cell
    fails; the file is then left as it was.
    """
    notebook = strip(read(path))
    executed = copy.deepcopy(notebook)
    environment = {**os.environ, "CNNLAB_PROFILE": "smoke"}
    client = NotebookClient(
        executed, timeout=CELL_TIMEOUT, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute(env=environment)
    kept = 0
    for cell, ran in zip(notebook.cells, executed.cells, strict=True):
        if KEEP_OUTPUT in tags(cell):
            cell.outputs, kept = ran.outputs, kept + 1
    write(strip(notebook), path)
    return kept
