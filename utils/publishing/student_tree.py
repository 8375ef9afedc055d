"""``make student``: a tree of its own that can be published, with the labs as stubs and all that they need.

Nothing is written before all of it has been looked through for solutions, answers and the full edition's
address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

from utils.course.environment import SECTION
from utils.publishing.leaks import leaks, secrets
from utils.publishing.nbgrader import course_files, with_metadata
from utils.publishing.notebooks import CARD, ROOT, labs, read
from utils.publishing.own_folder import others_in, write_folder, written
from utils.publishing.stamp import BRANCH, Repository, badges, configured, stamp
from utils.publishing.student import student_edition

COMMAND, COURSE = "student", "student NBGRADER=1"
NO_ADDRESS = (
    "where will students find it? Give the address of a repository of its own: "
    "make student URL=https://github.com/you/your-course-students"
)
README = Path(__file__).with_name("student_readme.md")
NEEDED_SECTIONS = (SECTION, "# the notebooks")  # of requirements.txt
LINK = re.compile(r"\]\(((?!\w+:|#|/)[^)#\s]+)")  # to a file beside the notebook
COLAB_AND_KAGGLE = re.compile(r"\[Open in (?:Colab|Kaggle)\]\([^)]*\)")
LEFT_OUT = {"publishing", "__pycache__"}  # of utils/
IGNORED = ".venv/\n_build/\n__pycache__/\n.ipynb_checkpoints/\n.DS_Store\n"


def write_student_edition(
    url: str | None,
    branch: str = "main",
    *,
    root: Path = ROOT,
    to: Path | None = None,
    grading: Path | None = None,
) -> Path:
    """Write the student edition with its own address to ``to``, by default ``_build/student``; returns it.

    url: ``https://github.com/OWNER/NAME`` of the repository in which students will find it.
    grading: the notebooks get nbgrader's metadata, and an nbgrader course with their sources is written to
    this folder. ``ValueError`` naming the file and the cell if a solution, an answer or the full edition's
    address would be left in the tree; nothing is written then.
    """
    repository, full = _address(url, branch, root), configured(root)
    to = to or root / "_build" / "student"
    before = written(to, COMMAND)  # refuses before the work
    if grading is not None:
        if grading.resolve().is_relative_to(to.resolve()):
            raise ValueError(
                f"{grading} lies in {to}, which students get, and the course for nbgrader has the solutions: "
                "name a folder outside"
            )
        written(grading, COURSE)
    originals = {f"labs/{path.name}": read(path) for path in labs(root)}
    editions = {
        name: for_students(notebook, name, repository, nbgrader=grading is not None)
        for name, notebook in originals.items()
    }
    frame = dict(_frame(root, editions))
    files = {
        **frame,
        PurePosixPath("README.md"): readme(repository, editions).encode(),
        PurePosixPath(".gitignore"): IGNORED.encode(),
        **{PurePosixPath(name): _bytes(edition) for name, edition in editions.items()},
    }
    foreign = [(path, (to / path).read_bytes()) for path in others_in(to, before | set(files))]
    found = leaks([*files.items(), *foreign], secrets(originals, full.slug))
    if found:
        raise ValueError("the student edition would hand out\n  " + "\n  ".join(found))
    if grading is not None:
        sources = {
            name: stamp(each, repository, PurePosixPath(name).name) for name, each in originals.items()
        }
        write_folder(grading, {**frame, **course_files(sources)}, COURSE)
    write_folder(to, files, COMMAND)
    return to


def for_students(
    notebook: NotebookNode, name: str, repository: Repository, *, nbgrader: bool = False
) -> NotebookNode:
    """The student edition of one lab, with links and a set-up cell that lead to ``repository``."""
    edition = stamp(student_edition(notebook, name), repository, PurePosixPath(name).name)
    return with_metadata(edition, name) if nbgrader else edition


def requirements(text: str) -> str:
    """What a student installs: of requirements.txt the lines for the labs and for JupyterLab."""
    sections = dict(re.findall(r"^(# the [^\n]*)\n((?:[^#\n][^\n]*\n?)*)", text, re.MULTILINE))
    lacking = [name for name in NEEDED_SECTIONS if name not in sections]
    if lacking:
        raise ValueError(f"requirements.txt has no section {' and no section '.join(lacking)}")
    return "".join(f"{name}\n{sections[name].rstrip()}\n" for name in NEEDED_SECTIONS)


def readme(repository: Repository, editions: Mapping[str, NotebookNode]) -> str:
    """How a student starts, and the list of the labs."""
    folder = repository.slug.partition("/")[2]
    rows = []
    for name, notebook in editions.items():
        title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
        links = " · ".join(COLAB_AND_KAGGLE.findall(badges(repository, PurePosixPath(name).name)))
        question = notebook.metadata.get(CARD, {}).get("question", "")
        rows.append(f"| [{title}]({name}) | {question} | {links} |")
    given = {"url": repository.url, "branch": repository.branch, "folder": folder, "labs": "\n".join(rows)}
    text = README.read_text(encoding="utf-8")
    return re.sub(r"\{(\w+)\}", lambda hole: given[hole.group(1)], text)


def _address(url: str | None, branch: str, root: Path) -> Repository:
    if not url:
        raise ValueError(NO_ADDRESS)
    if not BRANCH.fullmatch(branch):
        raise ValueError(f"a branch is named without spaces and signs, got {branch!r}")
    repository = Repository(url=url.removesuffix("/").removesuffix(".git"), branch=branch)
    if repository.slug.lower() == configured(root).slug.lower():
        raise ValueError(
            f"{url} is the address of the full edition, whose every branch students can read: the student "
            "edition needs a repository of its own"
        )
    return repository


def _frame(root: Path, editions: Mapping[str, NotebookNode]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """All that the labs need to run: the package, the records that they show, requirements, pages."""
    for path in sorted((root / "utils").rglob("*")):
        if path.is_file() and not LEFT_OUT.intersection(path.relative_to(root / "utils").parts):
            yield _file(path, root)
    for path in sorted((root / "book" / "results").rglob("*")):
        if path.is_file() and path.suffix != ".part" and not path.name.startswith("."):
            yield _file(path, root)
    for path in sorted((root / "book").glob("*.csv")):  # what others have measured
        yield _file(path, root)
    for name in ("constraints.txt", "LICENSE"):
        yield _file(root / name, root)
    wanted = requirements((root / "requirements.txt").read_text(encoding="utf-8"))
    yield PurePosixPath("requirements.txt"), wanted.encode()
    for path in _linked(root, editions):
        yield _file(path, root)


def _linked(root: Path, editions: Mapping[str, NotebookNode]) -> list[Path]:
    """The pages of the book to which the text of a lab has a link; ``ValueError`` where it leads nowhere."""
    found = set()
    for name, notebook in editions.items():
        for number, cell in enumerate(notebook.cells):
            for link in LINK.findall(cell.source) if cell.cell_type == "markdown" else ():
                path = (root / name).parent.joinpath(link).resolve()
                if not path.is_file() or not path.is_relative_to(root.resolve()):
                    raise ValueError(f"{name}, cell {number}: the link {link} leads to no file")
                if f"labs/{path.name}" not in editions:
                    found.add(root / path.relative_to(root.resolve()))
    return sorted(found)


def _file(path: Path, root: Path) -> tuple[PurePosixPath, bytes]:
    return PurePosixPath(path.relative_to(root).as_posix()), path.read_bytes()


def _bytes(notebook: NotebookNode) -> bytes:
    nbformat.validate(notebook)
    return (nbformat.writes(notebook) + "\n").encode()
