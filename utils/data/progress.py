"""One way to show progress: a bar on a screen, a line now and then in a log file."""

from __future__ import annotations

import sys

from tqdm.auto import tqdm

QUIET = 2.0  # seconds before anything shows
OFTEN, SELDOM = 0.1, 30.0  # seconds between two updates on a screen and in a log file


def progress(total: int | None, desc: str, unit: str, **options: object) -> tqdm:
    """A progress bar that shows after ``QUIET`` seconds and does not fill a log file with its updates."""
    seen = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(
        total=total,
        desc=desc,
        unit=unit,
        delay=QUIET,
        leave=False,
        mininterval=OFTEN if seen else SELDOM,
        **options,
    )
