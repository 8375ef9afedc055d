"""Committed code, laid down in the cache folder, so that no half-edited file ever makes a record."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from utils.data.folders import cache_folder, make_folder
from utils.experiments.provenance import COMMIT_FILE

KEPT_DAYS = 30  # of an export that nobody has used
COMMIT = re.compile(r"[0-9a-f]{40,64}")


def head_of(repository: Path) -> str | None:
    """The commit that is checked out; None where there is no git repository."""
    found = _git(repository, "rev-parse", "HEAD")
    return found.stdout.decode().strip() if found is not None else None


def has_changes(repository: Path) -> bool:
    """Whether ``utils/`` differs from the commit."""
    found = _git(repository, "status", "--porcelain", "utils")
    return found is not None and bool(found.stdout.strip())


def export(repository: Path, commit: str) -> Path | None:
    """The folder with ``utils/`` as it was committed; None if this is no commit of the repository."""
    if not COMMIT.fullmatch(commit):
        return None  # "unknown", or marked as changed
    folder = make_folder(cache_folder() / "code") / commit
    if not (folder / COMMIT_FILE).is_file():
        archive = _git(repository, "archive", "--format=tar", commit, "utils")
        if archive is None:
            return None
        partial = folder.with_name(f"{commit}.{os.getpid()}.part")
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(partial, filter="data")
        (partial / COMMIT_FILE).write_text(f"{commit}\n", encoding="utf-8")
        try:
            os.replace(partial, folder)
        except OSError:  # another process was faster
            shutil.rmtree(partial, ignore_errors=True)
            if not (folder / COMMIT_FILE).is_file():
                raise
    os.utime(folder / COMMIT_FILE)
    return folder


def remove_old_exports(now: float | None = None) -> None:
    """Remove exports that nobody has used for a month; where a run still needs one, it is made again."""
    for folder in (cache_folder() / "code").glob("*"):
        used = folder / COMMIT_FILE if (folder / COMMIT_FILE).exists() else folder
        if (now or time.time()) - used.stat().st_mtime > KEPT_DAYS * 86_400:
            shutil.rmtree(folder, ignore_errors=True)


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    try:
        return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
