"""A git repository with a copy of ``utils/`` and a catalogue of tiny experiments, for tests of the queue."""

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = '''
"""Tiny experiments on the embedded digits."""

from utils.experiments.configuration import Budget, Configuration, Experiment


def linear(label, **more):
    fit = {"lr": 1e-2, **more.pop("fit", {})}
    return Configuration(label, "linear", more.pop("dataset", "digits"), {"input_size": 32}, fit, **more)


def experiment(name, *configurations, epochs=2, seeds=(0,)):
    budget = Budget(epochs=epochs, seeds=seeds, train_images=300, test_images=100)
    budgets = dict.fromkeys(("smoke", "quick", "full"), budget)
    return Experiment(name, "does it run?", "a test", configurations, budgets)


EXPERIMENTS = {
    e.id: e
    for e in (
        experiment("short", linear("first")),
        experiment("long", linear("endless"), epochs=EPOCHS),
        experiment("wild", linear("diverges", fit={"lr": 1e38, "optimizer": "sgd"})),
        experiment("wrong", linear("fails", fit={"optimizer": "no such"})),
        experiment("absent", linear("no-data", dataset="cifar100")),
    )
}


def find(experiment_id):
    if experiment_id not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment_id!r}")
    return EXPERIMENTS[experiment_id]
'''


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def make(folder: Path, *experiments: str, epochs: int = 20_000) -> Path:
    """The repository, with an order that has an entry for each of these experiments, all committed."""
    shutil.copytree(ROOT / "utils", folder / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".gitignore").write_text("__pycache__/\nbook/\n")
    (folder / "utils/experiments/catalogue/__init__.py").write_text(
        CATALOGUE.replace("EPOCHS", str(epochs), 1).lstrip()
    )
    git(folder, "init", "--quiet")
    order_of(folder, *experiments)
    return folder


def order_of(folder: Path, *experiments: str) -> None:
    """Commit another order."""
    path = folder / "utils/experiments/catalogue/order.py"
    entries = "".join(
        f'    Entry("{name}", {tier}, "a test"),\n' for tier, name in enumerate(experiments, start=1)
    )
    order = re.compile(r"^ORDER: .*?^\)$", re.MULTILINE | re.DOTALL)
    path.write_text(
        order.sub(lambda _: f"ORDER: tuple[Entry, ...] = (\n{entries})", path.read_text(), count=1)
    )
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "a test")
