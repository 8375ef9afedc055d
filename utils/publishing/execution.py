"""Executing several notebooks at once into the cache from which Jupyter Book takes outputs; by itself it runs one after the other."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from utils.publishing.notebooks import read


def execute_into_cache(
    notebooks: Sequence[Path],
    folder: Path,
    at_once: int,
    timeout: int,
    environment: Mapping[str, str] = os.environ,
) -> list[Path]:
    """Execute those notebooks whose code is not yet in the cache ``folder``, ``at_once`` of them at a time; returns what was added.

    Each kernel starts in its notebook's folder with this ``environment`` and its share of the cores, unless ``OMP_NUM_THREADS`` says how
    many threads it may have. ``timeout``: seconds for one cell. A notebook that fails is left out: Jupyter Book runs it again and
    reports the error in its own way. ``ValueError`` if ``at_once`` is not positive.
    """
    if at_once < 1:
        raise ValueError(f"at_once must be a positive number of notebooks, got {at_once}")
    cache = get_cache(folder)
    waiting = []
    for path in notebooks:
        notebook = read(path)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            waiting.append((path, notebook))
    if not waiting:
        return []
    threads = str(max(1, (os.cpu_count() or 1) // at_once))
    return asyncio.run(_all(waiting, cache, at_once, timeout, {"OMP_NUM_THREADS": threads, **environment}))


async def _all(
    waiting: list[tuple[Path, NotebookNode]], cache, at_once: int, timeout: int, environment: dict[str, str]
) -> list[Path]:
    room, added = asyncio.Semaphore(at_once), []

    async def one(path: Path, notebook: NotebookNode) -> None:
        async with room:
            began = time.perf_counter()
            # times in the metadata of the cells would make it another notebook than the one that is looked up
            client = NotebookClient(
                notebook,
                timeout=timeout,
                record_timing=False,
                resources={"metadata": {"path": str(path.parent)}},
            )
            try:
                await client.async_execute(env=environment)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                print(f"{path.name} failed: {type(error).__name__}; the build will report it", flush=True)
                return
            seconds = time.perf_counter() - began
            bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            added.append(path)
            print(f"{path.name} executed in {seconds:.0f} s ({len(added)} of {len(waiting)})", flush=True)

    await asyncio.gather(*(one(path, notebook) for path, notebook in waiting))
    return added
