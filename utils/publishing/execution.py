"""Executing several notebooks at once into the cache of Jupyter Book, which runs one after another."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.main import JupyterCacheBase
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from utils.publishing.notebooks import read, write
from utils.publishing.steps import Progress


def execute_into_cache(
    notebooks: Mapping[Path, Path],
    folder: Path,
    at_once: int,
    timeout: int,
    environment: Mapping[str, str] = os.environ,
    *,
    log: Path,
    progress: Progress | None = None,
) -> list[Path]:
    """Fill the cache ``folder`` with executed notebooks; returns those that were run, ``at_once`` at a time.

    ``notebooks``: path → where its executed copy is kept. One whose code is in the cache is left alone, one
    that is kept is put into it, and the others are run and kept. Each kernel starts in its notebook's
    folder with this ``environment`` and its share of the cores, unless ``OMP_NUM_THREADS`` says how many
    threads it may have; what it says beside its outputs goes to the file ``log``. ``timeout``: seconds for
    one cell. ``progress`` is told of each notebook that is done. A notebook that fails is left out: Jupyter
    Book runs it again and reports the error in its own way. ``ValueError`` if ``at_once`` is not positive.
    """
    if at_once < 1:
        raise ValueError(f"at_once must be a positive number of notebooks, got {at_once}")
    cache = get_cache(folder)
    waiting = []
    for path, kept in notebooks.items():
        notebook = read(path)
        if not _is_in(cache, notebook) and kept.exists():
            _put(cache, read(kept), path)
        if not _is_in(cache, notebook):
            waiting.append((path, notebook, kept))
    if not waiting:
        return []
    threads = str(max(1, (os.cpu_count() or 1) // at_once))
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file, ThreadPoolExecutor(1) as thread:
        start = {"env": {"OMP_NUM_THREADS": threads, **environment}, "stdout": file, "stderr": file}
        work = _all(waiting, cache, at_once, timeout, start, progress or Progress())
        # in a thread, for this one may have an event loop already, as in a notebook
        return thread.submit(asyncio.run, work).result()


def _is_in(cache: JupyterCacheBase, notebook: NotebookNode) -> bool:
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def _put(cache: JupyterCacheBase, executed: NotebookNode, path: Path) -> None:
    cache.cache_notebook_bundle(CacheBundleIn(executed, str(path)), check_validity=False, overwrite=True)


async def _all(
    waiting: list[tuple[Path, NotebookNode, Path]],
    cache: JupyterCacheBase,
    at_once: int,
    timeout: int,
    start: dict,
    progress: Progress,
) -> list[Path]:
    room, added, done = asyncio.Semaphore(at_once), [], 0

    async def one(path: Path, notebook: NotebookNode, kept: Path) -> None:
        nonlocal done
        async with room:
            # times in the metadata of the cells would make it another notebook than the one that is looked up
            client = NotebookClient(
                notebook,
                timeout=timeout,
                record_timing=False,
                resources={"metadata": {"path": str(path.parent)}},
            )
            try:
                await client.async_execute(**start)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                progress.say(f"{path.name} failed: {type(error).__name__}; the build will report it")
                return
            finally:
                done += 1
                progress.share(done / len(waiting))
            write(notebook, unfinished := kept.with_suffix(".part"))
            unfinished.replace(kept)  # so that a broken build leaves no half of a file behind
            _put(cache, notebook, path)
            added.append(path)

    await asyncio.gather(*(one(*each) for each in waiting))
    return added
