"""Building the HTML book: which pages have to be executed, and the call of Jupyter Book.

An executed lab is kept under the fingerprint of what its page rests on. So a lab is executed again exactly
when something of that has changed, and going back to an earlier state finds that state's outputs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from utils.course.profiles import PROFILES
from utils.publishing.execution import execute_into_cache
from utils.publishing.fingerprint import fingerprints
from utils.publishing.notebooks import ROOT

JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # it has no `python -m` form
MOST_AT_ONCE = 4  # labs; each may hold two gigabytes


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
    for earlier in set(cache.parent.glob("*")) - {cache}:
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
    execute_into_cache(kept, cache, at_once, config["execute"]["timeout"], environment)

    # Sphinx decides by a page's own text whether to read it again; tell it when an output may have changed
    stamp = build / "built_with"
    fresh = not stamp.exists() or stamp.read_text(encoding="utf-8") != key
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(root), "--config", str(written)]
    command += ["-W", "--keep-going"] if strict else []
    command += ["--all"] if fresh else []
    stamp.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=root, env=environment)
    page = build / "html" / "index.html"
    if done.returncode or not page.exists():
        raise RuntimeError(
            "the book was not built: see the messages above; reports of failed pages: _build/html/reports"
        )
    stamp.write_text(key, encoding="utf-8")
    print(f"The book ({profile} profile) took {time.perf_counter() - began:.0f} s: open {page}")
    return page
