"""The set-up cell as hosts run it: the project is found or fetched, or one sentence says what to do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from utils.course import environment
from utils.publishing.notebooks import labs, read
from utils.publishing.stamp import REPOSITORY_LINE

ROOT = Path(__file__).resolve().parents[2]
CELL = read(labs()[0]).cells[1].source
AFTER = """
import utils.course
assert pathlib.Path(utils.course.__file__).is_relative_to(root), utils.course.__file__
assert 'torch' not in sys.modules
print('ready')
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A git repository with the parts of the project that a lab needs."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(ROOT / "utils", folder / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", folder)
    (folder / "labs").mkdir()
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "."],
        [*identity, "commit", "--quiet", "-m", "course"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def run_cell(cwd, repository, before="", **variables):
    source = REPOSITORY_LINE.sub(f'REPOSITORY = "{repository.as_posix()}"', CELL)
    return subprocess.run(
        [sys.executable, "-c", before + source + AFTER],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


def is_ready(done):
    return (done.returncode, done.stdout.strip()) == (0, "ready")


def sentence(done):
    """The one line that the error says, once everything before it has been seen to be a RuntimeError's."""
    assert done.returncode == 1, done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: ") and last.endswith("."), done.stderr
    assert "During handling" not in done.stderr and "direct cause" not in done.stderr, done.stderr
    return last


def test_every_lab_begins_with_this_cell():
    assert {read(path).cells[1].source for path in labs()} == {CELL}
    assert all(json.loads(path.read_text("utf-8"))["cells"][1]["cell_type"] == "code" for path in labs())


def test_in_an_empty_folder_the_project_is_fetched_and_ready(tmp_path, published):
    done = run_cell(tmp_path, published)
    assert is_ready(done), done.stderr
    again = run_cell(tmp_path, tmp_path / "gone")
    assert again.returncode == 0, "the second run must not fetch anything"


@pytest.mark.parametrize("place", ["", "labs", "utils/course", "labs/mine/Übung 1"])
def test_inside_the_project_nothing_is_fetched(tmp_path, published, place):
    folder = published / place
    folder.mkdir(parents=True, exist_ok=True)
    done = run_cell(folder, tmp_path / "gone")
    assert is_ready(done), done.stderr
    assert not (folder / "convolution-lab").exists()


def test_a_path_with_spaces_and_umlauts_will_do(tmp_path, published):
    folder = tmp_path / "Mein Kurs ä"
    folder.mkdir()
    assert is_ready(run_cell(folder, published))


def test_what_the_host_lacks_is_asked_of_pip_with_everything_else_held(tmp_path, published):
    before = (
        "import importlib.metadata as m, subprocess\n"
        "real = m.distribution\n"
        "def distribution(name):\n"
        "    if name == 'filelock': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.distribution = distribution\n"
        "run = subprocess.run\n"
        "def record(command, **options):\n"
        "    if 'pip' not in command: return run(command, **options)\n"
        "    held = open(command[command.index('-c') + 1]).read()\n"
        "    print('pip', command[-1], 'torch==' in held, 'numpy==' in held)\n"
        "    return subprocess.CompletedProcess(command, 0)\n"
        "subprocess.run = record\n"
    )
    done = run_cell(tmp_path, published, before)
    assert done.returncode == 0, done.stderr
    assert "pip filelock>=3.15 True True" in done.stdout


FOREIGN = "import sys; sys.path.insert(0, '.'); import utils\n"


@pytest.mark.parametrize(
    ("files", "before"),
    [
        (["utils/__init__.py"], FOREIGN),
        (["utils/helpers.py"], FOREIGN),  # a namespace: no __init__.py, no __file__
        (["utils.py"], FOREIGN),
        (["elsewhere/utils/__init__.py"], "import sys; sys.path.insert(0, 'elsewhere'); import utils\n"),
        ([], "import sys, types; sys.modules['utils'] = types.ModuleType('utils')\n"),
    ],
    ids=["package", "namespace", "module", "elsewhere", "made by code"],
)
def test_another_utils_in_the_kernel_stops_with_a_sentence(tmp_path, published, files, before):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert "another package named 'utils'. Restart it" in sentence(run_cell(tmp_path, published, before))


@pytest.mark.parametrize(
    "own", ["utils/__init__.py", "utils/helpers.py", "utils.py", "utils/course/tasks.py"]
)
def test_another_utils_that_only_lies_there_does_not_get_in_the_way(tmp_path, published, own):
    (tmp_path / own).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / own).write_text("")
    assert is_ready(run_cell(tmp_path, published, "import sys; sys.path.insert(0, '.')\n"))


def test_the_project_comes_first_even_if_it_was_on_the_path_already(tmp_path, published):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("")
    before = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; sys.path.append({str(published)!r})\n"
    assert is_ready(run_cell(published / "labs", tmp_path / "gone", before))


# what git says and does, without a network
GIT = """
import subprocess
run = subprocess.run
def git(command, **options):
    if command[0] == 'git': {behavior}
    return run(command, **options)
subprocess.run = git
"""
SAYS = "raise subprocess.CalledProcessError(128, command, stderr={!r})"
FETCHING = [
    (SAYS.format("fatal: unable to access 'x': Could not resolve host: github.com\n"), "resolve host"),
    (SAYS.format("fatal: could not read Username: terminal prompts disabled\n"), "prompts disabled"),
    (
        SAYS.format("Cloning …\nfatal: write error: No space left on device\n"),
        "(fatal: write error: No space",
    ),
    (SAYS.format("fatal: could not create work tree dir: Read-only file system\n"), "Read-only file system"),
    (SAYS.format(""), "exit status 128"),
    ("raise FileNotFoundError(2, 'No such file or directory: git')", "No such file or directory"),
    ("raise PermissionError(13, 'Permission denied')", "Permission denied"),
]


@pytest.mark.parametrize(("behavior", "why"), FETCHING, ids=[why for _, why in FETCHING])
def test_a_project_that_cannot_be_fetched_is_one_sentence(tmp_path, published, behavior, why):
    told = sentence(run_cell(tmp_path, published, GIT.format(behavior=behavior)))
    assert f"could not be fetched from {published.as_posix()}" in told and why in told
    assert "Kaggle: Settings → Internet on" in told and "needs git and a network" in told


def test_without_git_on_the_path_is_the_same_sentence(tmp_path, published):
    (tmp_path / "bin").mkdir()
    told = sentence(run_cell(tmp_path, published, PATH=str(tmp_path / "bin")))
    assert "needs git" in told and "No such file or directory: 'git'" in told


def test_an_empty_folder_left_over_is_filled(tmp_path, published):
    (tmp_path / "convolution-lab").mkdir()
    assert is_ready(run_cell(tmp_path, published))


@pytest.mark.parametrize(
    "held", [".git/HEAD", "README.md", "utils/__init__.py", "utils/course/__init__.py", None]
)
def test_half_a_project_left_over_is_one_sentence(tmp_path, published, held):
    root = tmp_path / "convolution-lab"
    if held is None:
        root.write_text("a file")
    else:
        (root / held).parent.mkdir(parents=True)
        (root / held).write_text("")
    told = sentence(run_cell(tmp_path, published))
    assert f"{root} is not the whole project: delete or rename it, then run this cell again." in told


@pytest.mark.parametrize("absent", ["requirements.txt", "utils/training", "utils/data", ".git/index"])
def test_a_checkout_that_was_broken_off_is_one_sentence(tmp_path, published, absent):
    root = tmp_path / "convolution-lab"
    shutil.copytree(published, root)
    (shutil.rmtree if (root / absent).is_dir() else os.unlink)(root / absent)
    told = sentence(run_cell(tmp_path, tmp_path / "gone"))
    assert str(root) in told and ("run this cell again." in told or f"{absent} missing" in told)


def test_pip_without_a_network_is_one_sentence(monkeypatch):
    said = (
        "WARNING: Retrying\nERROR: Could not find a version\nERROR: No matching distribution for einops\n\n"
    )

    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(environment.subprocess, "run", run)
    with pytest.raises(RuntimeError) as caught:
        environment.install(["einops"])
    assert str(caught.value) == (
        "pip could not install einops (No matching distribution for einops). This needs a network "
        "(Kaggle: Settings → Internet on), once."
    )


def test_an_old_python_is_one_sentence(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 2))
    with pytest.raises(RuntimeError, match=r"^Python 3\.11 or newer is needed, this kernel runs 3[.\d]+\.$"):
        environment.prepare(ROOT)


def test_a_data_folder_is_counted_from_the_project_unless_it_is_absolute(monkeypatch):
    for given, meant in (
        ("data", ROOT / "data"),
        ("/My Files/data", Path("/My Files/data")),
        ("~/data", Path.home() / "data"),
    ):
        monkeypatch.setenv("CNNLAB_DATA", given)
        environment.anchor_data_folder(ROOT)
        assert Path(os.environ["CNNLAB_DATA"]) == meant.resolve()
