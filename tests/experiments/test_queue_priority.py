"""A process of the queue takes what nobody else wants, and ends with its parent."""

import os
import signal
import subprocess
import sys

import pytest

from utils.experiments.queue import priority
from utils.experiments.queue.processes import behind, refusals

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sessions are weighed by Linux alone")
REPORT = """
import os, pathlib
group = pathlib.Path("/proc/self/autogroup")
weight = group.read_text().split()[-1] if group.exists() else "19"
print(os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)), weight)
"""

CHILD = """
import time
from utils.experiments.queue.priority import end_with_parent
end_with_parent()
print(flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys
command = [sys.executable, "-c", sys.argv[1]]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@LINUX
def test_a_process_steps_back_before_it_begins():
    core = priority.cores()[-1]
    command = [*behind(core), sys.executable, "-c", REPORT]
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=True)
    assert done.stdout.split() == ["19", f"[{core}]", "19"]


@LINUX
def test_it_does_not_put_the_session_of_a_terminal_back():
    """As a child in this session: only its own priority may change, and it says so."""
    if not priority.AUTOGROUP.exists():
        pytest.skip("this kernel does not weigh sessions")
    before = priority.AUTOGROUP.read_text()
    done = subprocess.run(behind(None), capture_output=True, text=True, check=True)
    assert done.stdout == "no low weight of its session (it shares the session of a terminal)\n"
    assert priority.AUTOGROUP.read_text() == before


@LINUX
def test_what_is_refused_is_named():
    done = subprocess.run(behind(100_000), capture_output=True, text=True, start_new_session=True, check=True)
    assert done.stdout.startswith("no core of its own (")


def test_where_nothing_can_be_set_it_goes_on(monkeypatch):
    for name in ("setpriority", "sched_setaffinity", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(priority, "AUTOGROUP", priority.Path("/does/not/exist"))
    refused = priority.step_back(core=0)
    assert refused == [
        "no low priority (not known on this system)", "no core of its own (not known on this system)",
    ]  # fmt: skip
    assert priority.cores() == [None] * os.cpu_count()


def test_a_system_without_cores_to_choose_from_is_told():
    assert refusals(None, bound=True)[-1] == "no core of its own (not known on this system)"
    assert not any("core" in phrase for phrase in refusals(None, bound=False))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_ends_when_its_parent_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True
    ) as process:
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.send_signal(signal.SIGKILL)
    while is_alive(pid):
        pass


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that has ended and waits to be looked at is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
