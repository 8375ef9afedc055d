"""The student edition of the labs themselves: no solution stands in it, and it runs without the full one."""

import ast
import os
import re
import subprocess
import sys
import textwrap

import pytest

from utils.publishing.notebooks import BEGIN, END, labs, read, tags
from utils.publishing.student_tree import write_student_edition

URL = "https://github.com/a-school/a-course"
DISTRIBUTION = {"sklearn": "scikit-learn", "PIL": "pillow", "IPython": "ipykernel"}  # where the names differ
BROUGHT = {"matplotlib_inline": "ipykernel"}  # comes with what is required
ONLY_TYPES = {"_typeshed"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The edition, far from the repository."""
    return write_student_edition(URL, to=tmp_path_factory.mktemp("far") / "a course")


def plain(text):
    """The lines of a text without comments, spaces and empty lines."""
    lines = (re.sub(r"\s+", "", re.sub(r"#.*", "", line)) for line in text.splitlines())
    return [line for line in lines if line]


def texts(tree):
    """(place, lines) of every text of the tree, each cell of a notebook for itself."""
    for path in sorted(tree.rglob("*")):
        if path.suffix == ".ipynb":
            for number, cell in enumerate(read(path).cells):
                yield f"{path.name}, cell {number}", plain(cell.source)
        elif path.suffix in {".py", ".md", ".js", ".txt"}:
            yield str(path.relative_to(tree)), plain(path.read_text(encoding="utf-8"))


def test_no_five_lines_of_a_solution_stand_anywhere_and_no_three_in_the_package(tree):
    """Not by ``utils.publishing.leaks``, but with other means: lines as they are printed, to the letter."""
    found = []
    everything = [(place, "\n".join(["", *lines, ""])) for place, lines in texts(tree)]
    solutions = 0
    for path in labs():
        for cell in read(path).cells:
            if "solution" not in tags(cell):
                continue
            solutions += 1
            lines = plain(cell.source.partition(BEGIN)[2].partition("\n")[2].partition(END)[0])
            for size, folder in ((5, ""), (3, "utils/")):
                if len("".join(lines)) < 30:
                    continue
                size = min(size, len(lines))
                runs = ["\n".join(["", *lines[i : i + size], ""]) for i in range(len(lines) - size + 1)]
                found += [
                    f"{place}: {run}"
                    for place, text in everything
                    for run in runs
                    if place.startswith(folder) and run in text
                ]
    assert solutions > 40 and len(everything) > 100, "nothing was searched"
    assert found == []


def test_tree_has_no_tests_no_publishing_and_no_trace_of_the_full_edition(tree):
    names = {path.relative_to(tree).as_posix() for path in tree.rglob("*")}
    assert not [name for name in names if "publishing" in name or "test" in name.split("/")[0]]
    assert {"labs/01_convolution_toeplitz.ipynb", "utils/course/checks/lab_01.py"} < names
    assert any(re.fullmatch(r"book/results/checkpoints/.*\.safetensors", name) for name in names)
    for place, lines in texts(tree):
        assert not any("convolution-lab/convolution-lab" in line for line in lines), place


def test_all_set_up_cells_are_the_same_and_fetch_the_students_repository(tree):
    (source,) = {read(path).cells[1].source for path in (tree / "labs").iterdir()}
    assert f'REPOSITORY = "{URL}"\nBRANCH = "main"\n' in source and '"--branch", BRANCH, REPOSITORY' in source


def test_a_lab_begins_with_the_tree_alone(tree):
    notebook = read(tree / "labs" / "01_convolution_toeplitz.ipynb")
    cells = [cell.source for cell in notebook.cells if tags(cell) & {"setup", "needed"}]
    stubs = [cell.source for cell in notebook.cells if tags(cell) & {"solution"}]
    (check,) = [cell.source for cell in notebook.cells if "check.use(input_sizes)" in cell.source]
    told = f"""
        import sys
        for source in {cells + stubs!r}:
            exec(compile(source, "cell", "exec"), globals())
        import utils.course.checks
        exec({check!r})
        print("root:", utils.course.checks.__file__)
        print("foreign:", [n for n in sys.modules if n.startswith(("utils.publishing", "tests"))])
        print("lab:", lab.name, lab.profile)
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CNNLAB"))}
    environment |= {"CNNLAB_PROFILE": "smoke", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(told)],
        cwd=tree / "labs",
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "○ input_sizes: not written yet" in done.stdout
    assert f"root: {tree / 'utils' / 'course' / 'checks'}" in done.stdout
    assert "foreign: []" in done.stdout and "lab: 01_convolution_toeplitz smoke" in done.stdout


def test_what_the_tree_imports_is_in_its_requirements(tree):
    lines = (tree / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = {re.split(r"[<>=]", line)[0] for line in lines if line and not line.startswith("#")}
    sources = {path: path.read_text(encoding="utf-8") for path in (tree / "utils").rglob("*.py")}
    for path in (tree / "labs").iterdir():
        code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
        sources[path] = "\n".join(line for line in "\n".join(code).splitlines() if line.lstrip()[:1] != "%")
    used = {}
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            used |= {name.partition(".")[0]: path.name for name in names}
    own = {*sys.stdlib_module_names, "utils"}
    foreign = {name: place for name, place in used.items() if name not in {*own, *ONLY_TYPES}}
    assert {"torch", "numpy", "matplotlib"} <= set(foreign)
    known = {name: BROUGHT.get(name, DISTRIBUTION.get(name, name)) for name in foreign}
    assert {name: foreign[name] for name in foreign if known[name] not in required} == {}


def test_what_others_have_measured_goes_along(tree):
    told = "from utils.experiments.replications import FILE, vgg_a_by_rate; vgg_a_by_rate(); print(FILE)"
    found = subprocess.run([sys.executable, "-c", told], cwd=tree, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(tree.resolve() / "book" / "replications.csv")
