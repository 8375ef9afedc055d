"""What others have measured: figures of public repositories and papers, from ``book/replications.csv``.

Each row is one comparison of one source, gathered on 2026-11-29; it is no census. ``value_without`` and
``value_with`` are the two sides of the comparison, in the unit that ``metric`` names; a single figure stands
in ``value_with``. Most repositories chose the best epoch on the test images, as ``metric`` tells.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FILE = Path(__file__).resolve().parents[2] / "book" / "replications.csv"
VGG_A = "VGG-A with/without BatchNorm, CIFAR-10"
BANDS = "VGG-A loss band width"
SETTINGS = (
    r"^Adam lr (?P<rate>[\d.e-]+), batch \d+, (?P<epochs>\d+) epochs, "
    r"(?P<augmentation>no augmentation|random crop\+flip|weak augmentation \(crop\+flip\))$"
)
PUBLISHED = 20  # epochs of the report
BATCHES = 391  # of 128 images in an epoch of the 50,000 training images of CIFAR-10
PARTIAL = r"on (?P<images>\d+) images"
SHORTEST = 8  # epochs of all images that a training of VGG-A needs to be shown beside ours


def replications(experiment: str | None = None) -> pd.DataFrame:
    """The rows of one experiment, or all of them; ``ValueError`` names the experiments for another name."""
    table = pd.read_csv(FILE)
    for column in ("value_without", "value_with"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    if experiment is None:
        return table
    if experiment not in set(table.experiment):
        raise ValueError(
            f"nobody's {experiment!r} is on file; there are {', '.join(table.experiment.unique())}"
        )
    return table[table.experiment == experiment].reset_index(drop=True)


def vgg_a_by_rate() -> pd.DataFrame:
    """VGG-A by learning rate of Adam in public repositories, trained as in the report of claims C6 and C7.

    One row for each repository, rate and augmentation: ``source``, ``rate``, ``augmented``, ``epochs``,
    ``without`` and ``with_bn`` (test accuracy in percent). Of several trainings it is the one whose length is
    nearest to the report's 20 epochs. Left out are trainings with another optimizer, a weight decay, a
    schedule or a part of the images, and those shorter than 8 epochs.
    """
    rows = replications(VGG_A)
    found = rows.settings.str.extract(SETTINGS)
    table = pd.DataFrame(
        {
            "source": rows.source,
            "rate": found.rate.astype(float),
            "augmented": found.augmentation != "no augmentation",
            "epochs": found.epochs.astype(float),
            "without": rows.value_without,
            "with_bn": rows.value_with,
        }
    ).dropna()
    nearest = (table.epochs - PUBLISHED).abs().sort_values(kind="stable").index
    table = table.loc[nearest].drop_duplicates(["source", "rate", "augmented"])
    return table[table.epochs >= SHORTEST].sort_index().reset_index(drop=True)


def bands_by_length() -> pd.DataFrame:
    """Mean width of the band over Adam's four rates in public logs, by the number of steps it is taken over.

    One row for each log: ``source``, ``epochs``, ``steps``, ``without`` and ``with_bn`` (mean over the steps
    of the largest minus the smallest training loss of VGG-A at the rates 1e-4, 5e-4, 1e-3 and 2e-3). Left out
    are logs of another optimizer or network, of epoch means, of unknown length, or that the notes exclude.
    Where a log does not tell its steps, they are counted with batches of 128.
    """
    rows = replications(BANDS)
    said = rows.settings.str
    kept = said.startswith("Adam, rates {1e-3,2e-3,1e-4,5e-4}") & ~said.contains("epoch-mean")
    kept &= ~rows.model.str.contains("Light") & ~rows.notes.str.contains("excluded", na=False)
    epochs = said.extract(r"(\d+) epochs?")[0].astype(float)
    an_epoch = said.extract(r"x (\d+) steps")[0].astype(float)
    an_epoch = an_epoch.fillna((said.extract(PARTIAL).images.astype(float) / 128).round()).fillna(BATCHES)
    table = pd.DataFrame(
        {
            "source": rows.source,
            "epochs": epochs,
            "steps": epochs * an_epoch,
            "without": rows.value_without,
            "with_bn": rows.value_with,
        }
    )
    return table[kept].dropna().reset_index(drop=True)
