"""Whether a run has learned to the end: at chance, still improving when it stopped, or converged.

The quality that networks reach can be compared only when it no longer depends on where the training was
broken off. Three numbers decide, and none of them looks at the test images:

- at chance: the validation accuracy of the last fifth of the epochs does not beat guessing;
- converged: either the network has learned its training images by heart, nearly (:data:`LEARNED` of them), or
  its validation accuracy has risen by no more than :data:`FLAT` from one fifth of the epochs to the next;
- still improving: everything else.

A learning rate that falls to 0 brings every curve to rest, that of a short training too. So the rise is
looked at where the rate was at least half of its largest value, and :data:`ENOUGH_EPOCHS` epochs of that kind
are asked for.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from utils.experiments.guessing import beats_guessing

AT_CHANCE, IMPROVING, CONVERGED = "at chance", "still improving", "converged"
LEARNED = 0.9  # share of the training images that are right in the last epoch
FLAT = 0.01  # rise of the validation accuracy from one fifth of the epochs to the next
ENOUGH_EPOCHS = 10  # in fewer, a network that has not begun to learn looks like one that has ended


def learning_state(
    valid_accuracy: Sequence[float],
    train_accuracy: Sequence[float],
    lr: Sequence[float],
    judged: int,
    classes: int = 10,
) -> str:
    """The state in which a training stopped, from its figures in each epoch.

    ``judged``: number of validation images. ``ValueError`` if the lists are empty or of different lengths.
    """
    epochs = len(valid_accuracy)
    if not epochs or not epochs == len(train_accuracy) == len(lr):
        raise ValueError(
            "one validation accuracy, training accuracy and rate is needed for each epoch, got "
            f"{epochs}, {len(train_accuracy)} and {len(lr)}"
        )
    if not beats_guessing(_last_fifth(valid_accuracy), judged, classes):
        return AT_CHANCE
    if train_accuracy[-1] >= LEARNED:
        return CONVERGED
    at_work = [accuracy for accuracy, rate in zip(valid_accuracy, lr, strict=True) if rate >= max(lr) / 2]
    if len(at_work) >= ENOUGH_EPOCHS and _rise(at_work) <= FLAT:
        return CONVERGED
    return IMPROVING


def state_of_run(run: Mapping[str, Any]) -> str:
    """The state in which the training of a recorded run stopped."""
    history, dataset = run["history"], run["dataset"]
    return learning_state(
        history["valid_accuracy"],
        history["train_accuracy"],
        history["lr"],
        dataset["valid"],
        dataset.get("classes", 10),  # the oldest records do not have the number
    )


def state_of(runs: Sequence[Mapping[str, Any]]) -> str:
    """The state of several runs: the one that all of them have, or those that are not "converged".

    ``ValueError`` for no run.
    """
    states = dict.fromkeys(state_of_run(run) for run in runs)
    if not states:
        raise ValueError("there are no runs whose state could be told")
    return " or ".join(state for state in states if state != CONVERGED) or CONVERGED


def _last_fifth(figures: Sequence[float]) -> Sequence[float]:
    return figures[-max(1, len(figures) // 5) :]


def _rise(figures: Sequence[float]) -> float:
    """From the mean of the fifth before the last one to the mean of the last fifth."""
    fifth = math.ceil(len(figures) / 5)
    return statistics.fmean(figures[-fifth:]) - statistics.fmean(figures[-2 * fifth : -fifth])
