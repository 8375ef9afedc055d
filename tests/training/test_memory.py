"""Keeping freed memory: page faults of training steps that need the same memory, each in a process."""

import statistics
import subprocess
import sys

import pytest

from utils.training.memory import keep_freed_memory

SCRIPT = """
import resource, sys, torch
from utils.training.memory import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(3)
torch.set_num_threads(1)
network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3))
x = torch.zeros(64, 3, 32, 32)
faults = []
for step in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    network(x).sum().backward()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(*faults)
"""


def usual_faults(mode):
    """Page faults of the middle one of the steps after the first three.

    The heap may still grow once, in one of them.
    """
    done = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True)
    return statistics.median(int(count) for count in done.stdout.split()[3:])


def test_asking_twice_is_harmless():
    assert keep_freed_memory() == keep_freed_memory()


@pytest.mark.skipif(not keep_freed_memory(), reason="only glibc has this setting")
def test_later_steps_need_hardly_any_fresh_pages():
    assert usual_faults("keep") < usual_faults("default") / 10
