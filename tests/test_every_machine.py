"""What differs between machines: names of files, encodings, terminals, folders with spaces."""

import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 200  # characters of a path below the root: Windows allows 259 with the folder that it lies in
RESERVED = re.compile(r"^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)  # on Windows
FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f]|[ .]$')  # there, too
TEXT = {"open", "read_text", "write_text", "NamedTemporaryFile", "TemporaryFile", "fdopen", "TextIOWrapper"}
SUBPROCESS = {"run", "Popen", "check_output"}


def tracked():
    """The files of the repository, or those of a copy without one."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        return [PurePosixPath(name) for name in listed.decode().split("\0") if name]
    ignored = {".venv", "_build", "__pycache__", ".git"}
    files = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return [PurePosixPath(path.as_posix()) for path in files if not ignored.intersection(path.parts)]


def test_every_name_is_one_that_windows_and_macos_take():
    files = tracked()
    assert len(files) > 400
    parts = {part for path in files for part in path.parts}
    assert [part for part in parts if RESERVED.match(part) or FORBIDDEN.search(part)] == []
    assert [str(path) for path in files if not str(path).isascii()] == []  # of which macOS has two spellings
    assert [str(path) for path in files if len(str(path)) > LONGEST] == []


def test_no_two_names_differ_in_capitals_alone():
    folders = {folder for path in tracked() for folder in path.parents}
    names = sorted(str(path) for path in {*tracked(), *folders})
    same = [group for _, group in itertools.groupby(sorted(names, key=str.lower), key=str.lower)]
    assert [found for found in map(list, same) if len(found) > 1] == []


def unnamed_encodings(source):
    """Lines of calls that read or write text in whatever encoding the machine has."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        given = {each.arg: ast.unparse(each.value) for each in node.keywords}
        if "encoding" in given or None in given:
            continue
        if called in SUBPROCESS and owner == "subprocess":
            if given.keys() & {"text", "universal_newlines", "errors"}:
                yield node.lineno
        elif called in TEXT and not _binary(called, owner, node, given):
            yield node.lineno


def _binary(called, owner, node, given):
    if called == "open" and owner in {"os", "tarfile", "gzip", "zipfile", "Image", "archive"}:
        return True  # os.open gives a number, the others bytes or pictures
    if called == "read_text":
        return bool(node.args)  # its first argument is the encoding
    if called == "write_text":
        return len(node.args) > 1
    place = 1 if called in {"fdopen", "TextIOWrapper"} or (called == "open" and not owner) else 0
    mode = given.get("mode") or (ast.unparse(node.args[place]) if len(node.args) > place else "'r'")
    return "b" in mode or (called.endswith("TemporaryFile") and mode == "'r'")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("open(p, 'rb')", False),
        ("open(p, 'r+b' if part else 'wb')", False),
        ("open(p, encoding='utf-8')", False),
        ("path.open()", True),
        ("path.open('wb')", False),
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(text)", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("os.open(file, os.O_RDWR)", False),
        ("tarfile.open(path)", False),
        ("subprocess.run(c, text=True)", True),
        ("subprocess.run(c, capture_output=True)", False),
        ("subprocess.run(c, text=True, encoding='utf-8')", False),
        ("subprocess.run(c, **options)", False),
        ("tempfile.NamedTemporaryFile()", False),
        ("tempfile.NamedTemporaryFile('w')", True),
    ],
)
def test_what_counts_as_an_unnamed_encoding(source, found):
    assert bool(list(unnamed_encodings(source))) == found


def test_the_package_names_the_encoding_of_every_text():
    files = [*(ROOT / "utils").rglob("*.py"), *(ROOT / "book").rglob("*.py")]
    lines = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        for line in unnamed_encodings(path.read_text(encoding="utf-8"))
    }
    assert lines == set()


COMMANDS = [
    ["utils.data", "list"],
    ["utils.data", "--help"],
    ["utils.experiments", "compare", "C6"],
    ["utils.publishing", "--help"],
]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_prints_to_a_terminal_of_another_encoding(tmp_path, command, encoding):
    surroundings = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    surroundings |= {"CNNLAB_CACHE": str(tmp_path), "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=surroundings, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(encoding, "replace")[-500:]
    assert done.stdout.decode(encoding) and b"codec can't encode" not in done.stderr


def test_the_package_reads_its_files_whatever_the_encoding_of_the_machine(tmp_path):
    """Records, checks, explorers, a lab: read in a folder with spaces, where text is ASCII by default."""
    here = tmp_path / "Mein Kurs ä (2)"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "utils", here / "utils", ignore=skipped)
    shutil.copytree(ROOT / "labs", here / "labs", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (here / "book").mkdir()
    for name in ("book/intro.md", "requirements.txt", "_config.yml"):
        shutil.copy(ROOT / name, here / name)
    for page in (ROOT / "book").glob("*.md"):
        shutil.copy(page, here / "book")
    program = (
        "import locale; assert locale.getpreferredencoding(False).upper() not in ('UTF-8', 'UTF8')\n"
        "import utils; from pathlib import Path; root = Path(utils.__file__).parents[1]\n"
        "from utils.course.environment import requirements; requirements(root)\n"
        "from utils.course.introduction import introduction; print((root / introduction(root)).is_file())\n"
        "from utils.publishing.notebooks import labs, read; print(len([read(p) for p in labs(root)]))\n"
        "from utils.publishing.contents import cards; print(len(cards(root)))\n"
        "from utils.publishing.fingerprint import fingerprints; print(len(fingerprints('smoke', root)))\n"
    )
    surroundings = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    surroundings |= {"PYTHONPATH": str(here), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", program], cwd=here, env=surroundings, capture_output=True)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    count = str(len(list((ROOT / "labs").glob("*.ipynb"))))
    assert done.stdout.decode().split() == ["True", count, count, count]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "utils/publishing/student_readme.md"])
def test_the_commands_without_make_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    modules = set(re.findall(r"python -m (utils[\w.]*)", text))
    assert modules
    for name in modules:
        place = ROOT / name.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), name
