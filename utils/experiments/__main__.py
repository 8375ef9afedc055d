"""``python -m utils.experiments list | show ID | run ID | queue | compare [ID] | verify``.

``ID`` names an experiment, or a claim that it decides.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from utils.console import print_anywhere
from utils.experiments import records, weights
from utils.experiments.catalogue import EXPERIMENTS, find
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.configuration import PROFILES, Experiment, WrongUse, closest, meant
from utils.experiments.queue.arguments import add_arguments as add_queue_arguments
from utils.experiments.summary import results
from utils.experiments.unfinished import replace_text

FAILED, MISUSED = 1, 2  # exit codes, as of utils.data
RUN = (
    "run what is not recorded yet, and record it under book/results; smoke runs, which are no results, under "
    "smoke in the cache folder"
)
NAMED = "an experiment, or a claim, such as C6, that it decides"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 fine, 1 it could not be done, 2 wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.experiments", description="Named experiments and their recorded results."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments and how many runs of each are recorded")
    show = commands.add_parser("show", help="settings and recorded results of one experiment")
    show.add_argument("id", help=NAMED)
    run = commands.add_parser("run", help=RUN)
    run.add_argument("id", help=NAMED)
    run.add_argument("--profile", choices=PROFILES, default="smoke")
    run.add_argument(
        "--seed", type=int, action="append", help="may be given several times; default: those of the profile"
    )
    run.add_argument("--device", help="cpu, cuda, cuda:1, …; default: the GPU if there is one")
    run.add_argument("--again", action="store_true", help="run also what has a record")
    queue = commands.add_parser(
        "queue", help="run what is due in an order of value, on all cores, behind other work"
    )
    add_queue_arguments(queue)
    compare = commands.add_parser(
        "compare",
        help=f"the {len(CLAIMS)} published claims, or those of one ID, beside the recorded runs",
    )
    compare.add_argument("id", nargs="?", help=NAMED)
    compare.add_argument(
        "--write", action="store_true", help="also write the tables of book/claims.md and book/how_fast.md"
    )
    commands.add_parser(
        "verify", help="check every record: its digest and every figure that can be derived again"
    )
    options = parser.parse_args(arguments)
    try:
        return {
            "list": _list,
            "show": _show,
            "run": _run,
            "queue": _queue,
            "compare": _compare,
            "verify": _verify,
        }[options.command](options)
    except WrongUse as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted; the same command goes on after the last epoch that was finished", file=sys.stderr)
        return 130


def _list(options: argparse.Namespace) -> int:
    for experiment in EXPERIMENTS.values():
        recorded = len(list((records.RESULTS / experiment.id).glob("*.json")))
        print(f"{experiment.id:24} {recorded:3} runs recorded  {experiment.question}")
    return 0


def _named(name: str, profile: str = "quick") -> Experiment:
    """The experiment of that name, or the one that decides the claim of that name in that profile."""
    known = (*CLAIMS, *EXPERIMENTS)
    found = meant(name, known)
    if found is None:
        raise WrongUse(
            f"unknown experiment or claim {name!r}{closest(name, known)}; there are the experiments "
            f"{', '.join(EXPERIMENTS)}, and the claims {', '.join(CLAIMS)}"
        )
    return find(CLAIMS[found].experiment_for(profile) if found in CLAIMS else found)


def _shown(name: str) -> Experiment:
    """The experiment of that name; of a claim the one whose runs it is judged by now."""
    from utils.experiments.comparison import recorded  # brings in pandas

    found = meant(name, tuple(CLAIMS))
    decides = found and recorded(CLAIMS[found])
    return _named(name, decides.profile if decides else "quick")


def _show(options: argparse.Namespace) -> int:
    experiment = _shown(options.id)
    print(f"{experiment.id}: {experiment.question}\nsource: {experiment.source}")
    full = {claim.full_experiment for claim in CLAIMS.values() if claim.experiment == experiment.id} - {""}
    if full:
        print(f"at the published width: {', '.join(sorted(full))}")
    for deviation in experiment.deviations:
        print(f"deviation: {deviation}")
    for profile, budget in experiment.budgets.items():
        images = "all" if budget.train_images is None else f"{budget.train_images:,}"
        print(
            f"{profile}: {budget.epochs} epochs, seeds {', '.join(map(str, budget.seeds))}, "
            f"{images} training images"
        )
    for configuration in experiment.configurations:
        settings = {**configuration.model_options, **configuration.fit_options}
        print(f"  {configuration.label}: {configuration.model} on {configuration.dataset}, {settings}")
    for profile in PROFILES:
        if list((records.folder_of(profile) / experiment.id).glob(f"*-{profile}.json")):
            recorded = results(experiment.id, profile)
            print(f"\n{recorded.describe()}\n{recorded.table().to_string()}")
    return 0


def _run(options: argparse.Namespace) -> int:
    from utils.experiments.run import run  # brings in torch and the models; the other commands do without

    _require_device(options.device)
    seeds = tuple(options.seed) if options.seed else None
    for path in run(
        _named(options.id, options.profile), options.profile, seeds, options.device, options.again
    ):
        root = records.RESULTS.parents[1]
        print(path.relative_to(root) if path.is_relative_to(root) else path)
    return 0


def _require_device(name: str | None) -> None:
    """Raise ``ValueError`` for a device that torch does not know, or that is not in this machine."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):  # the latter where torch was built without CUDA
        raise ValueError(f"{name!r} is no device of this machine, such as cpu or, with a GPU, cuda") from None


def _queue(options: argparse.Namespace) -> int:
    from utils.experiments.queue.command import main as queue

    return queue(options)


def _compare(options: argparse.Namespace) -> int:
    from utils.experiments import comparison, precisions

    if options.write:
        for written in (comparison, precisions):
            text = written.page(written.PAGE.read_text(encoding="utf-8"))
            replace_text(written.PAGE, text, "see to that, and write it again")
    width = min(100, shutil.get_terminal_size().columns)
    print(comparison.told(comparison.chosen_claims(options.id), width))
    return 0


def _verify(options: argparse.Namespace) -> int:
    labels = {
        experiment.id: [configuration.label for configuration in experiment.configurations]
        for experiment in EXPERIMENTS.values()
    }
    cards = sorted({path.with_suffix(".json") for path in records.RESULTS.glob("checkpoints/*.*")})
    bad = _tell("records", records.faults_of_all(records.RESULTS, labels))
    bad += _tell("kept weights", {path: weights.faults(path) for path in cards})
    return int(bad > 0)


def _tell(kind: str, found: dict[Path, list[str]]) -> int:
    """Print what is wrong with each file, and how many are sound; returns how many are not."""
    for path, complaints in found.items():
        for complaint in complaints:
            # a name or a text in a damaged file may hold what no terminal can print
            told = f"✗ {path.relative_to(records.RESULTS)}: {complaint}"
            print(told.encode("utf-8", "backslashreplace").decode())
    bad = sum(bool(complaints) for complaints in found.values())
    print(f"{len(found) - bad} of {len(found)} {kind} are sound")
    return bad


if __name__ == "__main__":
    print_anywhere()
    sys.exit(main())
