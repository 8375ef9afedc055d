"""A small project with one lab of two exercises, for the tests of the student edition."""

from pathlib import Path

import nbformat

v4 = nbformat.v4
FULL = "https://github.com/full/course"
STUDENTS = "https://github.com/full/course-students"
SETUP = """REPOSITORY = "https://github.com/full/course"
BRANCH = "main"
fetch = ["git", "clone", "--quiet", "--depth", "1", "--branch", BRANCH, REPOSITORY, str(root)]
"""
START = "from utils.course.checks import lab_01 as check\n\nlab = start_lab('01_test')"
RUNNING_SUM = '''def running_sum(values):
    """The sums of the first value, the first two, and so on."""
    ### BEGIN SOLUTION
    total, sums = 0, []
    for value in values:
        total += value
        sums.append(total)  # the sum so far
    return sums
    ### END SOLUTION
'''
DOUBLE = '''def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION
'''
ANSWER = """<!-- answers: try this
1. The sums rise as long as the values are positive, and fall afterwards.
2. The last one is the sum of all.
-->"""
REQUIREMENTS = """# versions
# the package behind the labs
torch>=2.6
numpy>=2.0
# the notebooks
jupyterlab>=4.2
# the tests
pytest>=8.2
"""


def code(source, *tags):
    return v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def text(source, *tags):
    return v4.new_markdown_cell(source, metadata={"tags": list(tags)} if tags else {})


def lab():
    """Cells: 0 title, 1 set-up, 2 start, 3 questions, 4 answers, 5-6 an exercise, 7-8 another, 9 the end."""
    cells = [
        text(f"# Lab 1 · Sums\n<!-- badges -->\n[Open in Colab]({FULL})\n<!-- /badges -->"),
        code(SETUP, "setup"),
        code(START, "needed", "hide-input"),
        text(
            "## Sums\n\nTry this:\n\n- Change the values.\n- Look at the last sum.\n"
            "\nSee [claims](../book/claims.md)."
        ),
        text(ANSWER, "answer", "remove-cell"),
        code(RUNNING_SUM, "solution", "hide-input"),
        code("check.running_sum(running_sum)", "check"),
        code(DOUBLE, "solution", "hide-input"),
        code("check.double(double)", "check"),
        code("lab.finish()"),
    ]
    cells[-1].outputs = [v4.new_output("stream", text="[1, 3]")]
    return v4.new_notebook(cells=cells)


def make(folder: Path, notebook=None) -> Path:
    """Write the project, with ``notebook`` as its lab, and return its folder."""
    files = {
        "_config.yml": f"repository:\n  url: {FULL}\n  branch: main\n",
        "requirements.txt": REQUIREMENTS,
        "constraints.txt": "torch==2.6.0\n",
        "LICENSE": "MIT\n",
        "README.md": f"See {FULL}.\n",
        "utils/__init__.py": "",
        "utils/course/environment.py": "def prepare(root):\n    pass\n",
        "utils/course/checks/lab_01.py": CHECKS,
        "utils/course/explorers/base.js": "const a = 1;\n",
        "utils/publishing/student.py": "BEGIN = '### BEGIN SOLUTION'\n",
        "utils/__pycache__/old.pyc": "",
        "tests/test_lab.py": "answers = [1, 3]\n",
        "book/claims.md": "# Claims\n",
        "book/intro.md": f"See {FULL}.\n",
        "book/results/sums/run.json": "{}\n",
        "book/results/sums/run.part": "{",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "labs").mkdir(exist_ok=True)
    nbformat.write(notebook or lab(), folder / "labs" / "01_test.ipynb")
    return folder


CHECKS = '''"""Checks."""

import itertools


def running_sum(function):
    """``function(values)`` gives all sums."""
    if function([1, 2]) != list(itertools.accumulate([1, 2])):
        raise AssertionError("sums")
    print("✓ running_sum")


def double(function):
    """``function(x)`` is twice x."""
    for slip in _double_slips(3):
        if function(3) == slip[1]:
            raise AssertionError(slip[0])
    if function(3) != 6:
        raise AssertionError("double")
    print("✓ double")


def _double_slips(x):
    yield "the power: x times two, not x to the power of two.", x**2
    yield "the sign: minus.", -2 * x
'''
