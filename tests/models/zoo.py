"""The table of totals: a row for each registered network, from ``ZOO`` in the test file of its family."""

import importlib
from pathlib import Path
from typing import NamedTuple

from utils.models import registry

HERE = Path(__file__).resolve().parent


class Net(NamedTuple):
    """What is expected of a name; ``fixed_size``: images of another size are refused."""

    total: int
    channels: int
    size: int
    fixed_size: bool
    classes: int


def small(total, *, fixed_size=False, channels=3, size=32, classes=10):
    """The row of a network for small images."""
    return Net(total, channels, size, fixed_size, classes)


def large(total, *, fixed_size=False, size=224, classes=1000):
    """The row of a network for ImageNet."""
    return Net(total, 3, size, fixed_size, classes)


def families():
    """Module of each family → the names that it registers."""
    found = {}
    for name, factory in sorted(registry._factories.items()):
        found.setdefault(factory.__module__.rpartition(".")[2], []).append(name)
    return found


def rows(family):
    """The rows in the test file of a family; none where the file or its table is missing."""
    if not (HERE / f"test_{family}.py").exists():
        return {}
    return getattr(importlib.import_module(f"tests.models.test_{family}"), "ZOO", {})


def gathered():
    """The rows of all families."""
    return {name: row for family in families() for name, row in rows(family).items()}
