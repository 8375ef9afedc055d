"""What the outputs of a lab's page rest on, as one short key for each lab.

A page depends on more than its own cells: on ``utils/``, on the recorded results, on the profile and on
which data are there. Of the checks and explorers, which belong to single labs, only those count that the
lab imports. So an edit of a lab, of its checks or of its explorer leaves the keys of the other labs as they
are.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from utils.data.cache import InvalidEntry, Meta, read_meta
from utils.data.folders import decoded_folder
from utils.data.local import find_local
from utils.data.sources import EMBEDDED, SOURCES
from utils.publishing.notebooks import ROOT, labs, read

CHECKS, EXPLORERS = "utils/course/checks", "utils/course/explorers"
# what single labs have measured: files and folders that begin with the lab's name
MEASURED = "book/results/labs"
BUILDING = "utils/publishing"  # leaves no mark on outputs, but for the module that starts the kernels
STARTING = "utils/publishing/execution.py"
EXPLORER_FRAME = ("base.js", "explorers.css")
RESULTS = ("book/results/**/*.json", "book/results/**/*.safetensors", "book/replications.csv")
PACKAGES = (
    *("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "pillow", "captum"),
    "cleanlab",
)
SCRIPT = re.compile(r'\bExplorer\(\s*"(\w+)"')


def fingerprints(profile: str, root: Path = ROOT) -> dict[Path, str]:
    """For each lab sixteen hex digits over everything that the outputs of its page depend on."""
    common = _surroundings(profile)
    common.update(_digest_of(_common_files(root), root).digest())
    keys = {}
    for path in labs(root):
        notebook = read(path)
        key = common.copy()
        key.update(_code(notebook).encode())
        key.update(_digest_of(own_files(notebook, path.stem, root), root).digest())
        keys[path] = key.hexdigest()[:16]
    return keys


def own_files(notebook: NotebookNode, stem: str, root: Path = ROOT) -> set[Path]:
    """The checks, explorers and measurements on which this lab rests, and which other labs do without."""
    sources = [(n, cell.source) for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    imported = set().union(*(imports(source, f"labs/{stem}.ipynb, cell {n},") for n, source in sources))
    measured = {path for path in (root / MEASURED).rglob("*") if path.is_file()}
    own = {path for path in measured if path.relative_to(root / MEASURED).parts[0].startswith(stem)}
    return _reached(imported, root) | own


def imports(source: str, where: str = "the code") -> set[str]:
    """Names that a piece of code imports, with dots; what comes from a module is named module.name too.

    ``ValueError`` naming ``where`` if it is no Python.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{where} is no Python that can be read: {error}") from error
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _reached(names: Iterable[str], root: Path) -> set[Path]:
    """Files of checks and explorers behind these names, with what they import in turn and their scripts."""
    waiting, found = list(names), set()
    while waiting:
        path = root / (waiting.pop().replace(".", "/") + ".py")
        if path in found or not _of_single_labs(path, root) or not path.exists():
            continue
        source = path.read_text(encoding="utf-8")
        found.add(path)
        waiting += imports(source, path.relative_to(root).as_posix())
        scripts = {path.with_name(f"{name}.js") for name in SCRIPT.findall(source)}
        frame = {path.with_name(name) for name in EXPLORER_FRAME} if scripts else set()
        found |= {script for script in scripts | frame if script.exists()}
    return found


def _common_files(root: Path) -> set[Path]:
    """What all labs share: the package without the building of the book and without what single labs own."""
    package = {path for path in (root / "utils").rglob("*") if path.suffix in (".py", ".js", ".css")}
    building = {path for path in package if path.is_relative_to(root / BUILDING)} - {root / STARTING}
    shared = {path for path in package - building if not _of_single_labs(path, root)}
    texts = {path: path.read_text(encoding="utf-8") for path in shared if path.suffix == ".py"}
    # nothing else can lead there
    leading = [
        imports(text, path.relative_to(root).as_posix())
        for path, text in texts.items()
        if "utils.course" in text
    ]
    results = {path for pattern in RESULTS for path in root.glob(pattern)}
    measured = {path for path in results if path.is_relative_to(root / MEASURED)}
    return shared | _reached(set().union(*leading), root) | results - measured


def _of_single_labs(path: Path, root: Path) -> bool:
    return path.parent in (root / CHECKS, root / EXPLORERS) and path.name != "__init__.py"


def _code(notebook: NotebookNode) -> str:
    """The code cells with their metadata, which the execution may look at."""
    return json.dumps(
        [[c.source, c.metadata] for c in notebook.cells if c.cell_type == "code"], sort_keys=True
    )


def _digest_of(paths: Iterable[Path], root: Path):
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest


def _surroundings(profile: str):
    """A digest of the profile, the versions and the data, wherever a lab would find them."""
    digest = hashlib.sha256(f"{profile} python {platform.python_version()}".encode())
    for package in PACKAGES:
        digest.update(f"{package} {importlib.metadata.version(package)}".encode())
    for line in _data_listing(os.environ.get("CNNLAB_DATA", "")):
        digest.update(line.encode())
    for line in _data_found():
        digest.update(line.encode())
    return digest


def _data_found() -> list[str]:
    """What a lab would load of each dataset: files of the user or fetched ones, else a decoded copy."""
    found = []
    for name, source in SOURCES.items():
        if name in EMBEDDED:
            continue
        if local := find_local(source):
            found += [f"{name} {path.name} {path.stat().st_size}" for path in local.files]
        else:  # only then, for building the book makes decoded copies itself
            found += [f"{name} decoded {meta.provenance.sha256}" for meta in _decoded(name)]
    return found


def _decoded(name: str) -> list[Meta]:
    folders = sorted(decoded_folder().glob("*/"))
    metas = []
    for folder in folders:
        try:
            metas.append(read_meta(folder))
        except InvalidEntry:
            continue
    return [meta for meta in metas if meta.name == name]


def _data_listing(folder: str, depth: int = 2) -> list[str]:
    """Names and sizes of what lies in the data folder, down to ``depth`` levels: they show every change."""
    base = Path(folder).expanduser()
    if not folder or not base.is_dir():
        return []
    found = [p for level in range(depth + 1) for p in base.glob("/".join(["*"] * (level + 1)))]
    return sorted(f"{p.relative_to(base).as_posix()} {p.stat().st_size}" for p in found if p.is_file())
