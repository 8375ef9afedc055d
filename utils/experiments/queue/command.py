"""``python -m utils.experiments queue``: the export of the committed code, and the change into it."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from utils.data.folders import data_root
from utils.experiments import records
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.order import ORDER, runs_of
from utils.experiments.provenance import COMMIT_FILE, ROOT, commit
from utils.experiments.queue import export, priority, store
from utils.experiments.queue.arguments import add_arguments, arguments_of, seconds_of
from utils.experiments.queue.processes import environment, refusals

PATIENCE = 3.0  # seconds that --status may count multiply-adds for; what it has counted is kept


def main(options: argparse.Namespace) -> int:
    """Tell the status, or lay down the committed code and go on there."""
    runs_of(ORDER, EXPERIMENTS)  # a mistake in the order is told before anything is started
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {options.workers}")
    if options.status:
        return status(options, records.RESULTS)
    if (pid := store.pid_of(records.RESULTS)) is not None:
        raise store.AtWork.of(pid)
    head = export.head_of(ROOT)
    code = export.export(ROOT, head) if head else None
    if code is None:
        if not (ROOT / COMMIT_FILE).is_file():
            print("this is no git repository: the code is used as it lies here", flush=True)
        code = ROOT
    elif head is not None and export.has_changes(ROOT):
        print(f"utils/ has changes that are not committed; the queue uses the commit {head[:10]}", flush=True)
    export.remove_old_exports()
    command = [
        sys.executable,
        "-m",
        "utils.experiments.queue",
        str(ROOT),
        str(records.RESULTS),
        *arguments_of(options),
    ]
    surroundings = environment(code, one_thread=options.device.startswith("cpu"))
    if (own := data_root()) is not None:
        surroundings["CNNLAB_DATA"] = str(own)
    if os.name == "posix":  # the same process goes on with the committed code
        os.chdir(code)
        os.execve(sys.executable, command, surroundings)
    return subprocess.call(command, cwd=code, env=surroundings)


def inside(arguments: list[str] | None = None) -> int:
    """The queue itself: ``python -m utils.experiments.queue REPOSITORY RESULTS …`` in its code's folder."""
    parser = argparse.ArgumentParser(prog="python -m utils.experiments.queue")
    parser.add_argument("repository", type=Path)
    parser.add_argument("results", type=Path)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    # a shell that starts it in the background has told it to ignore an interruption
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with store.alone(options.results):
            return _work(options)
    except KeyboardInterrupt as stop:
        print("stopped; every run keeps its last whole epoch and goes on with the next queue", flush=True)
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


class _Terminated(KeyboardInterrupt):
    """The process was asked to end."""


def _terminate(*_: object) -> None:
    raise _Terminated


def _work(options: argparse.Namespace) -> int:
    from utils.experiments.queue.control import Plan, Queue
    from utils.experiments.queue.costs import Costs
    from utils.experiments.queue.forecast import Forecast
    from utils.experiments.queue.plan import State, states_of
    from utils.experiments.queue.speeds import Speeds, is_at_hand
    from utils.experiments.queue.status import counted

    runs = runs_of(ORDER, EXPERIMENTS)
    cores = cores_for(options.device, options.workers)
    refused = [] if options.front else refusals(cores[0], bound=options.device.startswith("cpu"))
    if refused:
        print(f"this system gives a run {' and '.join(refused)}; the queue works all the same", flush=True)
    states = states_of(runs, options.results, is_at_hand)
    for phrase in missing_data(states):
        print(phrase, flush=True)
    plan = Plan(
        runs, options.repository, ROOT, commit(), options.results, options.device, tuple(cores),
        seconds_of(options), options.across, options.front,
    )  # fmt: skip
    due = sum(state is State.DUE for state in states.values())
    print(f"{counted(due)} due; logs are in {store.log_of(options.results).parent}", flush=True)
    return Queue(plan, Forecast(options.results, Speeds(options.device, ROOT), Costs(ROOT))).work()


def status(options: argparse.Namespace, results: Path) -> int:
    """Print the state of every tier, what runs, and the totals."""
    from utils.experiments.queue.costs import Costs
    from utils.experiments.queue.forecast import Forecast
    from utils.experiments.queue.plan import State, states_of
    from utils.experiments.queue.speeds import Speeds, is_at_hand
    from utils.experiments.queue.status import table

    states = states_of(runs_of(ORDER, EXPERIMENTS), results, is_at_hand, store.running(results))
    forecast = Forecast(results, Speeds(options.device, ROOT), Costs(ROOT, PATIENCE))
    estimates = {
        run: forecast.of(run) for run, state in states.items() if state in (State.DUE, State.RUNNING)
    }
    active = [forecast.active(run) for run, state in states.items() if state is State.RUNNING]
    for phrase in missing_data(states):
        print(phrase)
    print(
        table(
            states, estimates, active, len(cores_for(options.device, options.workers)), store.pid_of(results)
        )
    )
    return 0


def cores_for(device: str, workers: int | None) -> list[int | None]:
    """A core for each worker, None where it is not bound to one; more workers than cores share them."""
    if not device.startswith("cpu"):
        return [None] * (workers or 1)
    there = priority.cores()
    return [there[number % len(there)] for number in range(workers or len(there))]


def missing_data(states) -> list[str]:
    """A sentence on runs whose data are not on this machine; none if there are no such runs."""
    from utils.experiments.queue.plan import State
    from utils.experiments.queue.status import counted

    lacking = [run for run, state in states.items() if state is State.NO_DATA]
    if not lacking:
        return []
    names = ", ".join(dict.fromkeys(run.dataset for run in lacking))
    needs = f"{counted(len(lacking))} need{'s' if len(lacking) == 1 else ''}"
    return [f"{needs} DATA not found on this machine, left out: {names}"]
