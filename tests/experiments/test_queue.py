"""The queue from the command line, in a repository of its own, with real processes that are killed."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.tiny_repository import git, make
from utils.experiments import records
from utils.experiments.__main__ import main
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.order import Entry
from utils.experiments.queue import command, store
from utils.experiments.queue.arguments import add_arguments, arguments_of, seconds_of
from utils.experiments.queue.estimates import Images, Speed, Stage
from utils.experiments.queue.speeds import code_digest, is_at_hand, machine_of
from utils.training import load_checkpoint

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")
# at ordinary priority: beside the other tests, a process that has stepped back would wait for them
QUEUE = [sys.executable, "-m", "utils.experiments", "queue", "--front"]


@pytest.fixture
def surroundings(tmp_path):
    """The environment of the queue: a cache of its own, no data."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CNNLAB")}
    return {**kept, "CNNLAB_CACHE": str(tmp_path / "cache"), "PYTHONPATH": ""}


def run(repository, surroundings, *arguments):
    return subprocess.run(
        [*QUEUE, *arguments],
        cwd=repository,
        env=surroundings,
        capture_output=True,
        text=True,
        start_new_session=True,
    )


def know_speeds(repository, cache):
    """Speeds of the tiny runs, as if they had been measured: a process less to start."""
    speed = Speed((Stage(1.0, 1e-5, 1e-5),), Images(1294, 143, 360), 10_240).as_dict()
    told = {**speed, "timed": speed["stages"], "code": code_digest(repository)}
    groups = [
        f'linear {{"input_size": 32}} digits supervised {{}} {more}'
        for more in ("{}", '{"optimizer": "no such"}')
    ]
    cache.mkdir()
    (cache / "speeds.json").write_text(json.dumps({machine_of("cpu"): dict.fromkeys(groups, told)}))


def the(paths):
    (path,) = paths
    return path


@LINUX
def test_a_queue_from_its_start_to_its_end(tmp_path, surroundings):
    repository = make(tmp_path / "repository", "wrong", "short", "absent")
    head = git(repository, "rev-parse", "HEAD")
    (repository / "utils/experiments/run.py").write_text("this is half-edited\n")

    know_speeds(repository, tmp_path / "cache")
    done = run(repository, surroundings, "--hours", "0.5", "--workers", "2", "--device", "cpu")
    said = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert said[0] == f"utils/ has changes that are not committed; the queue uses the commit {head[:10]}"
    assert "1 run needs DATA not found on this machine, left out: cifar100" in said
    failed = the(line for line in said if line.startswith("✗"))
    assert failed.startswith("✗ wrong fails seed 0 failed: ValueError: unknown optimizer 'no such'")
    assert said[-1] == "the queue has ended: 1 run recorded, 1 failed"

    found = records.read(records.path_of("short", "first", 0, "full", repository / "book/results"))
    assert found["commit"] == head and found["result"] and found["machines"][0]["threads"] == 1
    kept = the((tmp_path / "cache" / "runs").iterdir())
    assert "=== " in (kept / "short" / "first-seed0-full.log").read_text()
    assert not list(kept.glob("*/*.checkpoint")) and not list(kept.glob("short/*.origin"))
    assert "done: short first seed 0" in (kept / "queue.log").read_text()


@LINUX
def test_a_queue_that_is_killed_and_one_that_is_interrupted(tmp_path, surroundings, monkeypatch):
    repository = make(tmp_path / "repository", "long")
    know_speeds(repository, tmp_path / "cache")
    began = git(repository, "rev-parse", "HEAD")
    queue, worker = start(repository, surroundings, tmp_path)
    monkeypatch.setenv("CNNLAB_CACHE", surroundings["CNNLAB_CACHE"])
    assert store.pid_of(repository / "book/results") == queue.pid
    assert store.running(repository / "book/results") == [("long", "endless", 0, "full")]
    queue.kill()
    queue.wait()
    wait_until(lambda: not is_alive(worker))
    assert store.pid_of(repository / "book/results") is None
    checkpoint = the((tmp_path / "cache").glob("runs/*/long/*.checkpoint"))
    done = len(load_checkpoint(checkpoint)["history"]["train_loss"])

    # another commit, in which the run would fail: it goes on with the code that it began with
    (repository / "utils/experiments/run.py").write_text("raise SystemExit('not this code')\n")
    git(repository, "commit", "--quiet", "-a", "-m", "broken")
    queue, worker = start(repository, surroundings, tmp_path, checkpoint.stat().st_mtime_ns)
    assert (tmp_path / "cache" / "code" / began).samefile(f"/proc/{worker}/cwd")
    queue.send_signal(signal.SIGINT)
    said, _ = queue.communicate()
    assert queue.returncode == 130 and not is_alive(worker)
    assert (
        said.splitlines()[-1]
        == "stopped; every run keeps its last whole epoch and goes on with the next queue"
    )
    assert len(load_checkpoint(checkpoint)["history"]["train_loss"]) > done >= 1


def test_a_second_queue_ends_with_one_sentence(own, monkeypatch, capsys):
    monkeypatch.setattr(store, "pid_of", lambda results: 4711)
    assert main(["queue", "--hours", "1"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err == (
        "error: another queue is at work on these records (process 4711); `--status` tells how far it is\n"
    )


def test_status_tells_what_is_done_and_due(own, monkeypatch, capsys, tmp_path):
    order = (
        Entry("landscape-no-bn", 3, "why", "smoke"),
        Entry("lenet-cifar10", 4, "why", labels=("lenet",)),
    )
    monkeypatch.setattr(command, "ORDER", order)
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    is_at_hand.cache_clear()
    assert main(["queue", "--status", "--workers", "1"]) == 0
    is_at_hand.cache_clear()
    needs, first, second, queue, total = capsys.readouterr().out.splitlines()
    seeds = len(EXPERIMENTS["lenet-cifar10"].budgets["full"].seeds)
    assert needs == f"{seeds} runs need DATA not found on this machine, left out: cifar10"
    networks = len(EXPERIMENTS["landscape-no-bn"].configurations)
    assert first == f"tier 3: 0 done, {networks} due; not measured yet   landscape-no-bn"
    assert second == f"tier 4: 0 done, 0 due, {seeds} needs data   lenet-cifar10"
    assert queue == "no queue is at work"
    assert total == f"total: 0 done, {networks} due, {seeds} needs data; not measured yet"


@pytest.mark.parametrize(
    "arguments",
    [["--hours", "0"], ["--hours", "many"], ["--minutes", "-1"], ["--hours", "1", "--minutes", "1"]],
)
def test_times_that_cannot_be_meant_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["queue", *arguments])
    assert arguments[0] in capsys.readouterr().err


def test_workers_that_cannot_be_meant_are_refused(own, capsys):
    assert main(["queue", "--workers", "0"]) == 1
    assert "--workers must be at least 1, got 0" in capsys.readouterr().err


def test_options_reach_the_queue_as_they_were_given():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for given in (["--hours", "0.5", "--across"], ["--minutes", "9", "--device", "cuda", "--front"], []):
        options = parser.parse_args(given)
        assert parser.parse_args(arguments_of(options)) == options
    assert seconds_of(parser.parse_args(["--hours", "0.5"])) == 1800
    assert (
        seconds_of(parser.parse_args(["--minutes", "9"])) == 540 and seconds_of(parser.parse_args([])) is None
    )


def test_a_worker_for_each_core_and_one_for_a_gpu(monkeypatch):
    monkeypatch.setattr(command.priority, "cores", lambda: [3, 5])
    assert command.cores_for("cpu", None) == [3, 5] and command.cores_for("cpu", 3) == [3, 5, 3]
    assert command.cores_for("cuda:1", None) == [None] and command.cores_for("cuda", 2) == [None, None]


def start(repository, surroundings, tmp_path, after=0):
    """A queue of one worker that has done an epoch since ``after``, and the process of its worker."""
    queue = subprocess.Popen(
        [*QUEUE, "--workers", "1"], cwd=repository, env=surroundings, text=True,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip

    def has_done_an_epoch():
        assert queue.poll() is None, queue.stdout.read()
        checkpoints = list((tmp_path / "cache").glob("runs/*/long/*.checkpoint"))
        return checkpoints and checkpoints[0].stat().st_mtime_ns > after

    wait_until(has_done_an_epoch)
    return queue, the(children_of(queue.pid))


def wait_until(condition):
    while not condition():
        time.sleep(0.05)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def is_alive(pid):
    """Whether there is such a process; one that has ended and waits to be looked at is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
