"""One run of the queue in its own process: ``python -m utils.experiments.queue.worker EXPERIMENT LABEL …``.

The exit status is 0 when there is a record at the end, and ``BUSY`` when another process is at work on the
run. The command line is the same in all commits, for a queue starts the worker of the commit that an
interrupted run began with; arguments that it does not know are ignored.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from utils.experiments.queue.priority import end_with_parent

BUSY = 75  # as EX_TEMPFAIL in sysexits.h


def arguments_of() -> argparse.ArgumentParser:
    """What names a run and its place, for the worker and for the timing alike."""
    parser = argparse.ArgumentParser(prog="python -m utils.experiments.queue.worker")
    parser.add_argument("experiment")
    parser.add_argument("label")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", default="full")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, required=True)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run it once and record it; returns the exit status."""
    options, _ = arguments_of().parse_known_args(arguments)
    end_with_parent()
    from utils.experiments.run import run  # brings in torch, which takes a while

    chosen = only(options.experiment, options.label)
    return (
        0 if run(chosen, options.profile, (options.seed,), options.device, results=options.results) else BUSY
    )


def only(experiment: str, label: str):
    """The experiment with that configuration alone; ``ValueError`` for names that do not exist."""
    from utils.experiments.catalogue import find

    found = find(experiment)
    configurations = tuple(c for c in found.configurations if c.label == label)
    if not configurations:
        raise ValueError(f"experiment {experiment!r} has no configuration {label!r}")
    return replace(found, configurations=configurations)


if __name__ == "__main__":
    sys.exit(main())
