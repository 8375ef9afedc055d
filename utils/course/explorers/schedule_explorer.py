"""The schedule explorer: learning rates batch by batch, their total, and a step in the wrong place."""

from __future__ import annotations

from utils.course.explorers.base import Explorer

# names of utils.training.schedules -> what the reader sees
SCHEDULES = {
    "constant": "constant",
    "step": "step, × 0.1 each period",
    "cosine": "cosine",
    "cosine_restarts": "cosine with restarts",
    "warmup_cosine": "warm-up, cosine",
    "warmup_hold_cosine": "warm-up, hold, cosine",
    "triangular2": "cyclic (triangular2; period = half a cycle)",
}
# where the scheduler's step() stands in the program, and in which unit its lengths are
COUNTINGS = {
    "epoch": "after each epoch",
    "batch": "after each batch, lengths × batches",
    "slip": "after each batch, lengths in epochs (slip)",
}
GAMMA = 0.1
RATES = tuple(round(digit * 10.0**power, 6) for power in (-4, -3, -2, -1) for digit in (1, 2, 3, 5, 7)) + (
    1.0,
)
MOST_EPOCHS, MOST_BATCHES, MOST_LENGTH, MOST_FLOOR = 100, 500, 30, 50


def schedule_explorer(
    kind: str = "step",
    counting: str = "slip",
    *,
    lr: float = 1e-3,
    epochs: int = 32,
    batches: int = 500,
    warmup: int = 5,
    hold: int = 5,
    period: int = 10,
    floor: int = 0,
    title: str = "What does this schedule add up to?",
) -> Explorer:
    """A schedule that the reader sets by sliders, with the sum of its rates over all batches.

    kind: a name of ``SCHEDULES``, as in :mod:`utils.training.schedules`. counting: a name of ``COUNTINGS``.
    lr: one of ``RATES``. epochs: 2 to 100; batches per epoch: 1 to 500. warmup, hold (0 to 30) and period (1
    to 30) in epochs, cut where the training is too short for them; floor: lowest rate in percent of lr, 0 to
    50. ``ValueError`` for anything else.
    """
    for name, value, known in (
        ("kind", kind, SCHEDULES),
        ("counting", counting, COUNTINGS),
        ("lr", lr, RATES),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")
    limits = {
        "epochs": (epochs, 2, MOST_EPOCHS),
        "batches": (batches, 1, MOST_BATCHES),
        "warmup": (warmup, 0, MOST_LENGTH),
        "hold": (hold, 0, MOST_LENGTH),
        "period": (period, 1, MOST_LENGTH),
        "floor": (floor, 0, MOST_FLOOR),
    }
    for name, (value, low, high) in limits.items():
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    data = {
        "kinds": [{"name": name, "label": label} for name, label in SCHEDULES.items()],
        "countings": [{"name": name, "label": label} for name, label in COUNTINGS.items()],
        "rates": list(RATES),
        "gamma": GAMMA,
        "most": {"epochs": MOST_EPOCHS, "batches": MOST_BATCHES, "length": MOST_LENGTH, "floor": MOST_FLOOR},
        "start": {
            "kind": list(SCHEDULES).index(kind),
            "counting": list(COUNTINGS).index(counting),
            "rate": RATES.index(lr),
            **{name: value for name, (value, _, _) in limits.items()},
        },
    }
    summary = (
        "Choose a schedule and where its scheduler is stepped; "
        "the learning rate of every batch is drawn, and added up."
    )
    return Explorer("schedule_explorer", title, data, summary)
