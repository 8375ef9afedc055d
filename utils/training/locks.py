"""A lock that one process holds on a name: it ends with the process, and leaves no file behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ATTEMPTS = 100  # at a file that others make and remove at the same moment


def acquire(file: Path) -> Callable[[], None] | None:
    """Lock ``file``, which is made where it is not there; the function that lets go, or None if it is held.

    Raises ``OSError`` where the file can be neither made nor read.
    """
    return _acquire_on_windows(file) if fcntl is None else _acquire(file)


def _acquire(file: Path) -> Callable[[], None] | None:
    for _ in range(ATTEMPTS):
        descriptor = _open(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_open_at(file, descriptor):
                return lambda: _release(file, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had locked it has just removed it
    raise OSError(f"{file} is made and removed again and again by other processes")


def _open(file: Path) -> int:
    """A descriptor to lock; for the file of another user, it is enough to be allowed to read it."""
    no_link = getattr(os, "O_NOFOLLOW", 0)
    for last in (False, True):
        try:
            return os.open(file, os.O_RDWR | os.O_CREAT | no_link, 0o666)
        except PermissionError as error:
            try:
                return os.open(file, os.O_RDONLY | no_link)
            except FileNotFoundError:  # removed in the meantime, or a folder in which no file can be made
                if last:
                    raise error from None
    raise AssertionError("the second attempt has returned or raised")


def _is_open_at(file: Path, descriptor: int) -> bool:
    """Whether the file of that name is still the one that is open."""
    try:
        there, open_one = os.stat(file), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (open_one.st_dev, open_one.st_ino)


def _release(file: Path, descriptor: int) -> None:
    """Remove the file while it is still locked, so that nobody else has it locked, and let go."""
    with suppress(OSError):  # that of another user stays
        os.unlink(file)
    os.close(descriptor)


def _acquire_on_windows(file: Path) -> Callable[[], None] | None:
    lock = FileLock(file, timeout=0)  # removes its file itself
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock.release
