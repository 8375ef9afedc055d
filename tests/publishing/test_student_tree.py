"""The student edition of a small project: what it holds, what it refuses, and what it leaves alone."""

import subprocess

import nbformat
import pytest

from tests.publishing import student_root as made
from utils.publishing.leaks import renamed, statements
from utils.publishing.notebooks import read, tags
from utils.publishing.own_folder import MARK
from utils.publishing.student_tree import requirements, write_student_edition

TREE = {
    ".gitignore",
    MARK,
    "LICENSE",
    "README.md",
    "book/claims.md",  # a lab has a link to it
    "book/results/sums/run.json",
    "constraints.txt",
    "labs/01_test.ipynb",
    "requirements.txt",
    "utils/__init__.py",
    "utils/course/checks/lab_01.py",
    "utils/course/environment.py",
    "utils/course/explorers/base.js",
}


@pytest.fixture
def root(tmp_path):
    return made.make(tmp_path / "root")


def build(root, **options):
    return write_student_edition(made.STUDENTS, root=root, **options)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def spoil(root, place, **changes):
    """Change a cell of the lab, or put in a new one before it."""
    path = root / "labs" / "01_test.ipynb"
    notebook = read(path)
    if "new" in changes:
        notebook.cells.insert(place, changes["new"])
    else:
        notebook.cells[place].update(changes)
    nbformat.write(notebook, path)


def append(root, name, content):
    path = root / name
    path.write_text(path.read_text(encoding="utf-8") + content, encoding="utf-8")


def test_tree_holds_what_a_lab_needs_and_nothing_else(root):
    tree = build(root)
    assert tree == root / "_build" / "student" and files_of(tree) == TREE
    assert requirements(made.REQUIREMENTS) == (tree / "requirements.txt").read_text()
    assert "torch>=2.6" in made.REQUIREMENTS and "pytest" not in (tree / "requirements.txt").read_text()


def test_labs_have_stubs_and_no_answers_and_no_outputs(root):
    notebook = read(build(root) / "labs" / "01_test.ipynb")
    assert [sorted(tags(cell)) for cell in notebook.cells] == [
        [], ["setup"], ["hide-input", "needed"], [], ["solution"], ["check"], ["solution"], ["check"], [],
    ]  # fmt: skip
    assert notebook.cells[4].source == (
        'def running_sum(values):\n    """The sums of the first value, the first two, and so on."""\n'
        '    # your code here\n    raise NotImplementedError("write running_sum")\n'
    )
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_every_address_is_that_of_the_students(root):
    tree = build(root, branch="term/2027")
    notebook = read(tree / "labs" / "01_test.ipynb")
    page = "https://colab.research.google.com/github/full/course-students/blob/term/2027/labs/01_test.ipynb"
    assert f"]({page})" in notebook.cells[0].source and f"]({page})" in (tree / "README.md").read_text()
    assert notebook.cells[1].source == made.SETUP.replace(made.FULL, made.STUDENTS).replace(
        'BRANCH = "main"', 'BRANCH = "term/2027"'
    )
    start = f"git clone --branch term/2027 {made.STUDENTS}\ncd course-students\n"
    assert start in (tree / "README.md").read_text()
    assert "{" not in (tree / "README.md").read_text(), "a hole of the template was not filled"


def test_a_second_build_removes_what_the_first_one_wrote_and_nothing_else(root):
    tree = build(root)
    (tree / ".git").mkdir()
    for name in (".git/config", "announcements.md"):
        (tree / name).write_text("ours")
    (root / "book/results/sums/run.json").unlink()
    (root / "utils/course/explorers/base.js").unlink()
    again = build(root)
    gone = {"book/results/sums/run.json", "utils/course/explorers/base.js"}
    assert files_of(again) == TREE - gone | {".git/config", "announcements.md"}
    assert not (tree / "utils/course/explorers").exists() and not (tree / "book/results").exists()


def test_an_unchanged_file_is_not_written_again(root):
    tree = build(root)
    before = (tree / "LICENSE").stat().st_mtime_ns
    build(root)
    assert (tree / "LICENSE").stat().st_mtime_ns == before


def test_a_folder_of_somebody_else_is_not_written_to(root, tmp_path):
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("text")
    with pytest.raises(ValueError, match="thesis is not empty and was not made by `make student`"):
        build(root, to=other)
    assert files_of(other) == {"chapter.tex"}
    (other / MARK).write_text("Written by `make instructors`\nchapter.tex\n")
    with pytest.raises(ValueError, match="not made by"):
        build(root, to=other)
    assert files_of(other) == {"chapter.tex", MARK}
    with pytest.raises(ValueError, match="is a file"):
        build(root, to=other / "chapter.tex")


def test_an_empty_clone_is_filled(root, tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    assert files_of(build(root, to=clone)) > TREE


def test_a_list_that_leads_out_of_the_folder_removes_nothing(root, tmp_path):
    tree = build(root)
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    append(tree, MARK, "../../../precious.txt\n")
    with pytest.raises(ValueError, match=r"precious.txt leads out of"):
        build(root)
    assert outside.read_text() == "mine"


def test_a_link_in_the_folder_is_not_followed(root, tmp_path):
    tree, outside = build(root), tmp_path / "outside"
    outside.mkdir()
    (outside / "01_test.ipynb").write_text("mine")
    (tree / "labs" / "01_test.ipynb").unlink()
    (tree / "labs").rmdir()
    (tree / "labs").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ValueError, match="leads out of"):
        build(root)
    assert (outside / "01_test.ipynb").read_text() == "mine"


SOLVED = made.RUNNING_SUM.replace("    ### BEGIN SOLUTION\n", "").replace("    ### END SOLUTION\n", "")
REFERENCE = """

def _reference(entries):
    so_far, result = 0, []  # other names, another layout
    for entry in entries:

        so_far += entry
        result.append(
            so_far,
        )
    return result
"""


LAB_CHECKS, RECORD = "utils/course/checks/lab_01.py", "book/results/sums/run.json"
FENCED = f"<details>\n```python\n{SOLVED}```"
TOLD = "The sums rise as long as the values are\npositive, and fall afterwards."
ALT = {"mystnb": {"image": {"alt": "https://github.com/Full/Course.git"}}}
MISTYPED = made.RUNNING_SUM.replace("END SOLUTION", "END SOLUTOIN")
SECRETS = {
    "other tag": (lambda r: spoil(r, 5, metadata={"tags": ["hide-input"]}), "ipynb, cell 5 has the mark"),
    "mistyped tag": (lambda r: spoil(r, 5, metadata={"tags": ["solutoin"]}), "cell 5: the tag 'solutoin'"),
    "check's tag mistyped": (lambda r: spoil(r, 6, metadata={"tags": ["Check"]}), "cell 6: the tag 'Check'"),
    "check without tag": (lambda r: spoil(r, 6, metadata={}), "cell 6 calls check.running_sum, but is not"),
    "no marks": (lambda r: spoil(r, 5, source=SOLVED), "cell 5 is tagged 'solution': it needs one"),
    "neither": (lambda r: spoil(r, 5, source=SOLVED, metadata={}), "cell 6 is a check, but the code before"),
    "marks twice": (lambda r: spoil(r, 5, source=made.RUNNING_SUM * 2), "cell 5 is tagged 'solution': it"),
    "mistyped mark": (lambda r: spoil(r, 5, source=MISTYPED), "cell 5 is tagged 'solution': it needs one"),
    "mark in a text": (lambda r: spoil(r, 9, new=made.text("# begin solution")), "cell 9 has the mark of a"),
    "again in a cell": (lambda r: spoil(r, 9, new=made.code(SOLVED)), "ipynb, cell 8: the solution of runn"),
    "again in a text": (lambda r: spoil(r, 9, new=made.text(FENCED)), "cell 8: the solution of running_sum"),
    "answers without tag": (lambda r: spoil(r, 4, metadata={}), "cell 4: a cell of answers has the tag"),
    "answers, mistyped": (lambda r: spoil(r, 4, metadata={"tags": ["anwser"]}), "cell 4: the tag 'anwser'"),
    "answers without mark": (lambda r: spoil(r, 4, source="1. It rises."), "cell 4: a cell of answers has"),
    "answer in a text": (lambda r: spoil(r, 9, new=made.text(TOLD)), "cell 8: the answers in cell 4 of lab"),
    "address in a text": (lambda r: spoil(r, 3, source=f"[a]({made.FULL}/issues)"), "cell 3: the address of"),
    "address, metadata": (
        lambda r: spoil(r, 9, metadata=ALT),
        "cell 8, beside its source: .*, Full/Course.git",
    ),
    "link to nothing": (lambda r: spoil(r, 3, source="[a](../book/no.md)"), "cell 3: the link ../book/no.md"),
    "no clone": (lambda r: spoil(r, 1, source='REPOSITORY = ""'), "cell 1 has no line"),
    "reference in a check": (
        lambda r: append(r, LAB_CHECKS, REFERENCE),
        "lab_01.py: the solution of running",
    ),
    "mark in a module": (
        lambda r: append(r, "utils/__init__.py", "# BEGIN SOLUTION"),
        "__init__.py: the mark",
    ),
    "address on a page": (
        lambda r: append(r, "book/claims.md", f"\n{made.FULL}"),
        "claims.md, line 3: the addr",
    ),
    "address in a record": (lambda r: append(r, RECORD, '"full/course"'), "run.json, line 2: the address of"),
    "no section": (lambda r: (r / "requirements.txt").write_text("torch"), "requirements.txt has no section"),
}


@pytest.mark.parametrize("change, told", SECRETS.values(), ids=SECRETS)
def test_what_would_hand_out_a_secret_is_refused_by_name_and_nothing_is_written(root, change, told):
    change(root)
    with pytest.raises(ValueError, match=told):
        build(root, grading=root / "_build" / "grading")
    assert not (root / "_build").exists()


def test_an_earlier_edition_stays_as_it_was_where_a_new_one_is_refused(root):
    tree = build(root)
    before = {name: (tree / name).read_bytes() for name in files_of(tree)}
    append(root, "utils/course/checks/lab_01.py", REFERENCE)
    (root / "utils/course/explorers/base.js").unlink()
    with pytest.raises(ValueError, match="the solution of running_sum"):
        build(root)
    assert {name: (tree / name).read_bytes() for name in files_of(tree)} == before


def test_a_solution_that_somebody_put_into_the_folder_is_found(root):
    tree = build(root)
    (tree / "hints.py").write_text(SOLVED)
    with pytest.raises(ValueError, match="hints.py: the solution of running_sum"):
        build(root)


def test_what_a_lab_teaches_in_a_line_or_two_may_stand_in_it(root):
    spoil(
        root,
        3,
        new=made.code("total, sums = 0, []\nfor value in [1, 2]:\n    total += value\n    print(total)"),
    )
    append(root, "utils/course/checks/lab_01.py", "\n\ndef _twice(x):\n    return x + x\n")
    spoil(
        root,
        3,
        source="Students meet at https://github.com/full/course-students/issues and awe/full/course2.",
    )
    build(root)


@pytest.mark.parametrize(
    "url, branch, told",
    [
        (None, "main", r"make student URL=https://github.com/you/your-course-students"),
        ("", "main", "where will students find it"),
        ("https://example.org/course", "main", "must be https://github.com/OWNER/NAME, got 'https://example.org"),
        ("https://github.com/Full/course.git", "students", "the full edition, whose every branch"),
        (made.STUDENTS, "a b", "got 'a b'"),
        (made.STUDENTS, "../x", "got '../x'"),
        (made.STUDENTS, "-x", "got '-x'"),
    ],
)  # fmt: skip
def test_an_address_that_students_could_not_use_is_refused(root, url, branch, told):
    with pytest.raises(ValueError, match=told):
        write_student_edition(url, branch, root=root)
    assert not (root / "_build").exists()


def test_statements_have_no_layout_and_no_names():
    code = "y = f(x,\n      2,)  # twice\n\nif y > 0: return y.x\n"
    lines = statements(code)
    assert [" ".join(line) for line in lines] == ["y = f ( x , 2 )", "if y > 0 : return y . x"]
    assert lines[1] == ("if", "y", ">", "0", ":", "return", "y", ".", "x")
    assert renamed(lines) == ("v0 = v1 ( v2 , 2 )", "if v0 > 0 : return v0 . x")
    assert renamed(lines) == renamed(statements("a = g(b, 2)\nif a > 0: return a.x"))
    assert renamed(lines) != renamed(statements("a = g(a, 2)\nif a > 0: return a.x"))
    assert statements("%matplotlib inline\nx = 'open") is not None, "no Python: no error"


def test_the_course_for_nbgrader_is_not_written_into_what_students_get(root):
    tree = build(root)
    with pytest.raises(ValueError, match="name a folder outside"):
        build(root, grading=tree / "grading")
    assert not (tree / "grading").exists()


def test_of_two_solutions_of_one_name_both_are_sought(root):
    notebook = read(root / "labs" / "01_test.ipynb")
    places = [n for n, cell in enumerate(notebook.cells) if "solution" in tags(cell)]
    other = notebook.cells[places[1]].source.replace("def double(", "def running_sum(")
    spoil(root, places[1], source=other)
    (root / "utils" / "__init__.py").write_text(SOLVED)
    with pytest.raises(ValueError, match="__init__.py: the solution of running_sum of labs/01_test.ipynb"):
        build(root)


def test_a_solution_with_blanks_in_a_string_is_found_in_a_text(root):
    body = '    if x is None:\n        raise ValueError("no number was given")\n    return x + x\n'
    spoil(root, 7, source=made.DOUBLE.replace("    return x + x\n", body))
    append(root, "book/claims.md", f"\n\n{body}")
    with pytest.raises(ValueError, match="claims.md.*the solution of double"):
        build(root)
