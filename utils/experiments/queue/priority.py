"""A process that takes only what nobody else wants: lowest priority, one core, and an end with its parent.

``python priority.py CORE COMMAND …`` steps back and then becomes the command, so that nothing of it runs, and
none of its threads begins, before. Without a command it prints what the system refuses, one phrase a line.
CORE is a number, or ``any``.

Linux weighs sessions against each other and looks at ``nice`` only within one, so a process in a session of
its own keeps half of a core in spite of its ``nice``. The weight of a session is written to
``/proc/self/autogroup``; it must be the process's own session, or the user's terminal would be put back with
it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

LOWEST = 19
PR_SET_PDEATHSIG = 1  # from linux/prctl.h
ANY = "any"
AUTOGROUP = Path("/proc/self/autogroup")
# without privileges Linux takes one such write in a tenth of a second from all of them together
TRIES, PAUSE = 20, 0.15


def step_back(core: int | None = None) -> list[str]:
    """Take the lowest priority and, where given, one core; returns a phrase for each thing refused."""
    refused = []
    if hasattr(os, "setpriority"):
        try:
            os.setpriority(os.PRIO_PROCESS, 0, LOWEST)
        except OSError as error:
            refused.append(f"no low priority ({error.strerror})")
    else:
        refused.append("no low priority (not known on this system)")
    if AUTOGROUP.exists():
        refused += _weigh_least()
    if core is not None:
        try:
            os.sched_setaffinity(0, {core})
        except (AttributeError, OSError) as error:
            refused.append(
                f"no core of its own ({getattr(error, 'strerror', None) or 'not known on this system'})"
            )
    return refused


def _weigh_least() -> list[str]:
    if os.getsid(0) != os.getpid():
        return ["no low weight of its session (it shares the session of a terminal)"]
    for attempt in range(TRIES):
        try:
            AUTOGROUP.write_text(str(LOWEST), encoding="ascii")
            return []
        except BlockingIOError:
            time.sleep(PAUSE * (1 + attempt % 3))
        except OSError as error:
            return [f"no low weight of its session ({error.strerror})"]
    return ["no low weight of its session (the system was busy)"]


def cores() -> list[int | None]:
    """The cores that this process may use; as many None where no process can choose one."""
    if not hasattr(os, "sched_getaffinity"):
        return [None] * (os.cpu_count() or 1)
    own: list[int | None] = [*sorted(os.sched_getaffinity(0))]
    return own


def end_with_parent() -> None:
    """End this process when its standard input is closed.

    The parent holds the other end, and lets go of it however it dies. Linux then also kills the process
    itself, even if somebody has stopped it; this holds where it was started by the main thread of the parent.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(core: str = ANY, *command: str) -> None:
    """Step back, then become the command."""
    refused = step_back(None if core == ANY else int(core))
    if command:
        os.execv(command[0], command)
    print("\n".join(refused))


if __name__ == "__main__":
    main(*sys.argv[1:])
