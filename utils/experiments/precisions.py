"""What training in bfloat16 costs in test accuracy, from runs that are paired by seed: a table of "How fast".

Initial weights, order of the images and augmentation of a pair are the same. The precision alone differs
(but for one pair of VGG-A, whose runs were made on two processors).
"""

from __future__ import annotations

from pathlib import Path

from utils.experiments import records
from utils.experiments.catalogue.precision import PRECISIONS, precisions
from utils.experiments.configuration import Experiment
from utils.experiments.core_hours import core_hours
from utils.experiments.differences import Difference, difference, signed
from utils.experiments.pages import with_part
from utils.experiments.summary import percent

PAGE = Path(__file__).resolve().parents[2] / "book" / "how_fast.md"
PROFILE = "full"
MARGIN = 0.005  # of the test images: half a point
ENOUGH_PAIRS = 5
NAMES = {"lenet": "LeNet", "resnet-20": "ResNet-20", "vgg-a-bn": "VGG-A with BN"}  # as in the other tables
HEADER = ("network", "float32", "bfloat16", "bfloat16 − float32, 95 % interval", "verdict")
WITHIN, BEYOND, UNSETTLED = "costs less than half a point", "costs more than half a point", "not settled"


def pairs(experiment: Experiment, folder: Path | None = None) -> dict[int, tuple[float | None, float | None]]:
    """Test accuracy in float32 and in bfloat16, by seed, of the pairs of which both runs are recorded.

    None stands for a run that diverged. ``ValueError`` names a record that is damaged.
    """
    found = {}
    for seed in experiment.budgets[PROFILE].seeds:
        paths = [
            records.path_of(experiment.id, chosen.label, seed, PROFILE, folder)
            for chosen in experiment.configurations  # in the order of PRECISIONS
        ]
        if all(path.exists() for path in paths):
            ends = [records.read(path)["result"] for path in paths]
            float32, bfloat16 = (end and end["test_accuracy"] for end in ends)
            found[seed] = (float32, bfloat16)
    return found


def verdict(found: Difference) -> str:
    """Whether bfloat16 costs less than half a point, more, or whether the runs do not settle it."""
    if found.interval is None or found.n < ENOUGH_PAIRS:
        return UNSETTLED
    low, high = found.interval
    return WITHIN if low > -MARGIN else BEYOND if high < -MARGIN else UNSETTLED


def table(folder: Path | None = None) -> str:
    """One line for each network, in Markdown."""
    lines = ["| " + " | ".join(HEADER) + " |", "| " + " | ".join("---" for _ in HEADER) + " |"]
    lines += ["| " + " | ".join(_line(experiment, folder)) + " |" for experiment in precisions()]
    return "\n".join(lines)


def page(text: str, folder: Path | None = None) -> str:
    """The page "How fast" with this table made anew; ``ValueError`` unless its two marks are there."""
    return with_part(text, "precisions", table(folder))


def _line(experiment: Experiment, folder: Path | None) -> tuple[str, ...]:
    """Name, accuracies, their difference and what may be said of it; what is due or diverged is told."""
    found, budget = pairs(experiment, folder), experiment.budgets[PROFILE]
    both = [(one, other) for one, other in found.values() if one is not None and other is not None]
    notes = [
        f"seed {seed} diverged in {precision}"
        for seed, ends in found.items()
        for precision, end in zip(PRECISIONS, ends, strict=True)
        if end is None
    ]
    if left := len(budget.seeds) - len(found):
        hours = left * sum(core_hours(chosen, budget) or 0 for chosen in experiment.configurations)
        notes.append(f"due: {left} pair{'' if left == 1 else 's'}, about {hours:.1f} h of one core")
    name = NAMES[experiment.id.removeprefix("precision-")]
    if not both:
        return name, "not run", "not run", "", "; ".join(notes)
    float32, bfloat16 = zip(*both, strict=True)
    apart = difference(bfloat16, float32, paired=True)
    told = f"{signed(100 * apart.mean, 2)} points"
    if apart.interval is not None:
        told += ", " + " to ".join(signed(100 * end, 2) for end in apart.interval)
    return name, percent(float32, 2), percent(bfloat16, 2), told, "; ".join([verdict(apart), *notes])
