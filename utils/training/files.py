"""Files that appear whole or not at all, and one sentence about why one could not be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from utils.data.errors import FULL

ROOM = "free some space, or give a path on another disk"
ELSEWHERE = "give a path that can be written to"
# what torch says where the file took less than it was given; the error of the system is lost in its C++ part
CUT_SHORT = ("unexpected pos", "PytorchStreamWriter failed writing")
REASONS = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "it is not permitted (Permission denied)",
    errno.EPERM: "it is not permitted (Operation not permitted)",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EFBIG: "the file would be larger than a limit allows (File too large)",
}


class NotWritten(OSError):
    """A file could not be written; the message names it, the reason and the remedy."""


@contextmanager
def whole(
    path: Path, what: str, partial: Path | None = None, remedy: str = "", durable: bool = True
) -> Iterator[BinaryIO]:
    """A file to write to that becomes ``path`` at the end of the block; before, ``path`` is the old file.

    It is written as ``partial`` beside it, brought to the disk (``durable``) and renamed. After an error
    nothing of it is left. Raises :class:`NotWritten`, with ``remedy`` in the place of the usual one.
    """
    partial = partial or path.with_name(f"{path.name}.partial")
    watched = None
    try:
        with open(partial, "wb") as file:
            watched = _Watched(file)
            yield watched  # type: ignore[misc]
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        failure = (watched.error if watched else None) or error
        if isinstance(failure, OSError) or is_cut_short(failure):
            raise not_written(path, what, failure, remedy) from error
        raise


def not_written(path: Path, what: str, error: BaseException, remedy: str = "") -> NotWritten:
    """One sentence: what could not be written, why, what to do, and that nothing was lost."""
    full = getattr(error, "errno", None) in FULL or is_cut_short(error)
    told = NotWritten(
        f"{what} {path} could not be written because {reason_of(error, path.parent)}; "
        f"{remedy or (ROOM if full else ELSEWHERE)}; what was there before is unharmed"
    )
    told.errno = getattr(error, "errno", None) or (errno.ENOSPC if full else None)
    return told


def reason_of(error: BaseException, folder: Path) -> str:
    """Why ``folder`` took no file, as a clause."""
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC:
        return "the disk is full" + (", for it can hold no more files (inodes)" if _no_inodes(folder) else "")
    if number in FULL:
        return "the disk is full for this user, whose quota is used up"
    if is_cut_short(error):
        return "the disk is full: only a part of the file could be written"
    return REASONS.get(number or 0) or getattr(error, "strerror", None) or str(error) or type(error).__name__


def is_cut_short(error: BaseException) -> bool:
    """Whether torch found less written than it had given to the file."""
    return isinstance(error, RuntimeError) and any(part in str(error) for part in CUT_SHORT)


def _no_inodes(folder: Path) -> bool:
    try:
        there = os.statvfs(folder)
    except (OSError, AttributeError):  # the latter on Windows
        return False
    return there.f_files > 0 and there.f_favail == 0


class _Watched:
    """A file that keeps its own error, where whoever writes to it may say something else instead."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        return self._watch(self.file.write, data)

    def flush(self) -> None:
        self._watch(self.file.flush)

    def _watch(self, act: Any, *arguments: Any) -> Any:
        try:
            return act(*arguments)
        except OSError as error:
            self.error = self.error or error
            raise
