"""A progress bar for terminal and notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm.auto import tqdm

# seconds before a bar appears: what is over by then needs none
DELAY = 1.0
# seconds between two drawings: a screen is drawn anew, a log file grows by a line each time
SCREEN, LOG = 0.1, 60.0


class Progress:
    """One bar for a whole run: it counts batches, and shows the figures of the last epoch beside them."""

    def __init__(self, epochs: int, batches_per_epoch: int, done: int = 0, show: bool = True) -> None:
        self.epochs = epochs
        self.bar = tqdm(
            total=epochs * batches_per_epoch,
            initial=done * batches_per_epoch,
            desc=f"epoch {min(done + 1, epochs)}/{epochs}",
            unit="batch",
            delay=DELAY,
            mininterval=SCREEN if _on_screen() else LOG,
            disable=not show,
            dynamic_ncols=True,
        )

    def count(self, batches: Iterable[Any], epoch: int) -> Iterator[Any]:
        """The same batches, counted as they pass."""
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        for batch in batches:
            yield batch
            self.bar.update()

    def report(self, **figures: float) -> None:
        """Show these figures of the epoch that has just ended."""
        text = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items())
        self.bar.set_postfix_str(text, refresh=_on_screen())

    def close(self) -> None:
        self.bar.close()


def _on_screen() -> bool:
    """Whether somebody watches: in a terminal or a notebook, and not in a log file."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
