"""The layers of the package: no import runs upward, none runs in a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYER = {"data": 0, "models": 0, "training": 1, "analysis": 1, "experiments": 2, "course": 2, "publishing": 3}
COMMON = "console"  # for the commands of every room; it knows the standard library alone
FILES = sorted((ROOT / "utils").glob("*/**/*.py"))


def imported(path: Path) -> set[str]:
    """Modules of ``utils`` that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer they lead to"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            assert "*" not in {alias.name for alias in node.names}, f"{path} imports *"
    return {name for name in found if name.split(".")[0] == "utils" and "." in name}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_import_runs_upward_or_sideways(path):
    room = path.relative_to(ROOT / "utils").parts[0]
    for name in imported(path):
        other = name.split(".")[1]
        if other in (room, COMMON):
            continue
        public_neighbor = {room, other} == {"course", "experiments"} and len(name.split(".")) <= 3
        assert LAYER[other] < LAYER[room] or public_neighbor, (
            f"{path.relative_to(ROOT)} ({room}) imports {name}"
        )


def test_rooms_are_those_of_the_design():
    rooms = {p.name for p in (ROOT / "utils").iterdir() if p.is_dir() and not p.name.startswith("__")}
    assert rooms == set(LAYER)


def test_modules_do_not_import_each_other_in_a_circle():
    modules = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES
    }
    edges = {
        name: _top_level(path) & set(modules) - {name}
        for name, path in modules.items()
        if path.name != "__init__.py"
    }
    done, path = set(), []

    def visit(name):
        assert name not in path, f"circle: {' -> '.join(path[path.index(name) :] + [name])}"
        if name in done:
            return
        path.append(name)
        for other in sorted(edges.get(name, ())):
            visit(other)
        done.add(path.pop())

    for name in edges:
        visit(name)


def _top_level(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found
