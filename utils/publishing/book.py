"""Building the HTML book: which execution cache belongs to this state of the project, and the call of Jupyter Book.

A page's outputs depend on more than its own cells: on ``utils/``, on the recorded results, on the profile and on which data are
there. A fingerprint of these names the cache folder, so a page is executed again exactly when something it rests on has changed,
and going back to an earlier state finds that state's outputs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import yaml

from utils.course.profiles import PROFILES
from utils.publishing.execution import execute_into_cache
from utils.publishing.notebooks import ROOT, labs

SOURCES = (
    "utils/**/*.py",
    "utils/**/*.js",
    "utils/**/*.css",
    "book/results/**/*.json",
    "book/results/**/*.safetensors",
)
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # it has no `python -m` form
MOST_AT_ONCE = 4  # labs; each may hold two gigabytes
PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "scikit-learn")


def fingerprint(profile: str, root: Path = ROOT) -> str:
    """Sixteen hex digits over everything outside the notebooks that their outputs depend on."""
    digest = hashlib.sha256()
    digest.update(f"{profile} python {platform.python_version()}".encode())
    for package in PACKAGES:
        digest.update(f"{package} {importlib.metadata.version(package)}".encode())
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    for line in _data_listing(os.environ.get("CNNLAB_DATA", "")):
        digest.update(line.encode())
    return digest.hexdigest()[:16]


def _data_listing(folder: str, depth: int = 2) -> list[str]:
    """Names and sizes of what lies in the data folder, ``depth`` levels down; enough to see data come, go or change."""
    if not folder or not Path(folder).is_dir():
        return []
    base = Path(folder)
    found = [p for level in range(depth + 1) for p in base.glob("/".join(["*"] * (level + 1)))]
    return sorted(f"{p.relative_to(base).as_posix()} {p.stat().st_size}" for p in found if p.is_file())


def build_book(profile: str, strict: bool = True, root: Path = ROOT) -> Path:
    """Execute the labs in ``profile`` and write the book to ``_build/html``; returns the path of its first page.

    ``strict`` makes every warning an error. Raises ``RuntimeError`` if the build fails.
    """
    if profile not in PROFILES:
        raise ValueError(f"the profile is {profile!r}; choose one of {', '.join(PROFILES)}")
    began = time.perf_counter()
    build = root / "_build"
    build.mkdir(exist_ok=True)
    key = fingerprint(profile, root)
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["cache"] = str(build / "executed" / key)
    extensions = config["sphinx"][
        "local_extensions"
    ]  # counted from the configuration file, which here lies in _build
    config["sphinx"]["local_extensions"] = {name: str(root / folder) for name, folder in extensions.items()}
    written = build / "book_config.yml"
    written.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")

    # the times that the longer profiles measure are worth reading only if a lab has the machine to itself
    at_once = min(os.cpu_count() or 1, MOST_AT_ONCE) if profile == "smoke" else 1
    environment = {**os.environ, "CNNLAB_PROFILE": profile}
    execute_into_cache(
        labs(root), Path(config["execute"]["cache"]), at_once, config["execute"]["timeout"], environment
    )

    # Sphinx looks only at a page's own text to decide whether to read it again; tell it when the ground has moved
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
            "the book was not built: see the messages above; reports of failed pages are in _build/html/reports"
        )
    stamp.write_text(key, encoding="utf-8")
    print(f"The book ({profile} profile) took {time.perf_counter() - began:.0f} s: open {page}")
    return page
