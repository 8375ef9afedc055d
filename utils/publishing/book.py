"""Building the HTML book: which pages have to be executed, and the call of Jupyter Book.

An executed lab is kept under the fingerprint of what its page rests on. So a lab is executed again exactly
when something of that has changed, and going back to an earlier state finds that state's outputs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import time
from pathlib import Path

import yaml

from utils.course.profiles import PROFILES
from utils.publishing.execution import execute_into_cache
from utils.publishing.fingerprint import fingerprints
from utils.publishing.notebooks import BUILT_WITH, ROOT
from utils.publishing.steps import LOGS, Step, Steps, duration, last_lines, percentage, run_logged

JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # it has no `python -m` form
MOST_AT_ONCE = 4  # labs; each may hold two gigabytes
SECONDS_OF_A_LAB = {"smoke": 15, "quick": 150, "full": 3600}  # on two cores, told until one has run here
ALL_PAGES, SOME_PAGES = ("write the pages", 60), ("write the pages that have changed", 10)  # and seconds
PHASES = {
    "reading sources": (0, 0.4),
    "writing output": (0.4, 0.5),
    "copying images": (0.9, 0.1),
}  # of Sphinx
COMPLAINT = re.compile(r"\b(?:WARNING|ERROR|CRITICAL)\b|Error:")


def build_book(profile: str, strict: bool = True, root: Path = ROOT) -> Path:
    """Execute the labs in ``profile`` and write the book to ``_build/html``; returns its first page.

    ``strict`` makes every warning an error. Raises ``RuntimeError`` if the build fails.
    """
    if profile not in PROFILES:
        raise ValueError(f"the profile is {profile!r}; choose one of {', '.join(PROFILES)}")
    began = time.perf_counter()
    build = root / "_build"
    build.mkdir(exist_ok=True)
    keys = fingerprints(profile, root)
    key = hashlib.sha256(" ".join(keys.values()).encode()).hexdigest()[:16]
    cache = build / "executed" / "cache" / key
    for earlier in set(cache.parent.glob("*/")) - {cache}:
        shutil.rmtree(earlier)  # it holds copies of what is kept
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["cache"] = str(cache)
    # counted from the configuration file, which here lies in _build
    extensions = config["sphinx"]["local_extensions"]
    config["sphinx"]["local_extensions"] = {name: str(root / folder) for name, folder in extensions.items()}
    written = build / "book_config.yml"
    written.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")

    # the times that the longer profiles measure are worth reading only if a lab has the machine to itself
    at_once = min(os.cpu_count() or 1, MOST_AT_ONCE) if profile == "smoke" else 1
    environment = {**os.environ, "CNNLAB_PROFILE": profile}
    kept = {path: build / "executed" / path.stem / f"{of_lab}.ipynb" for path, of_lab in keys.items()}
    # Sphinx decides by a page's own text whether to read it again; tell it when an output may have changed
    stamp = build / BUILT_WITH
    fresh = not stamp.exists() or stamp.read_text(encoding="utf-8") != key
    due = sum(not path.exists() for path in kept.values())
    running = f"run {due} of {len(kept)} labs in the profile {profile}" if due else "no lab has changed"
    pages, seconds = ALL_PAGES if fresh else SOME_PAGES
    labs = Step(f"labs, {profile}", running, SECONDS_OF_A_LAB[profile] / at_once, due)
    steps = Steps([labs, Step(pages, pages, seconds)], root)
    with steps.take(labs.key) as progress:
        execute_into_cache(
            kept,
            cache,
            at_once,
            config["execute"]["timeout"],
            environment,
            log=root / LOGS / "kernels.log",
            progress=progress,
        )

    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(root), "--config", str(written)]
    command += ["-W", "--keep-going"] if strict else []
    command += ["--all"] if fresh else []
    stamp.unlink(missing_ok=True)
    log, page = root / LOGS / "pages.log", build / "html" / "index.html"
    began_pages = time.time()
    with steps.take(pages) as progress:
        status = run_logged(
            command, log, cwd=root, environment=environment, progress=progress, share_of=share_of_pages
        )
        if status or not page.exists():
            raise RuntimeError("\n".join(["the book was not built.", *_why(log, build, began_pages)]))
    stamp.write_text(key, encoding="utf-8")
    print(
        f"The book ({profile} profile) is ready after {duration(time.perf_counter() - began)}. Open {page}",
        flush=True,
    )
    return page


def share_of_pages(line: str) -> float | None:
    """How far Sphinx is, from 0 to 1, by what it says it is doing; None where it does not say."""
    share = percentage(line)
    for phase, (start, part) in PHASES.items():
        if share is not None and line.startswith(phase):
            return start + part * share
    return None


def _why(log: Path, build: Path, since: float) -> list[str]:
    """What a person needs who looks for the reason: each complaint, the failed cells, the end of the log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    complaints = [line for line in lines if COMPLAINT.search(line)]
    reports = sorted((build / "html" / "reports").glob("*.err.log"))
    fresh = [report for report in reports if report.stat().st_mtime >= since]
    return [*complaints, *map(last_lines, fresh), last_lines(log)]
