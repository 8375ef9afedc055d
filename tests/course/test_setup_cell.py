"""The set-up cell as Colab runs it: in an empty folder, from the published repository, without touching what the host has."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "course"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def run_cell(cwd, repository, before=""):
    source = REPOSITORY_LINE.sub(f'REPOSITORY = "{repository.as_posix()}"', CELL)
    return subprocess.run(
        [sys.executable, "-c", before + source + AFTER], cwd=cwd, capture_output=True, text=True
    )


def test_in_an_empty_folder_the_project_is_fetched_and_ready(tmp_path, published):
    done = run_cell(tmp_path, published)
    assert (done.returncode, done.stdout.strip()) == (0, "ready"), done.stderr
    again = run_cell(tmp_path, tmp_path / "gone")
    assert again.returncode == 0, "the second run must not fetch anything"


def test_inside_the_project_nothing_is_fetched(tmp_path, published):
    done = run_cell(published / "utils", tmp_path / "gone")
    assert (done.returncode, done.stdout.strip()) == (0, "ready"), done.stderr
    assert not (published / "utils" / "convolution-lab").exists()


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


def test_another_utils_in_the_kernel_stops_with_a_sentence(tmp_path, published):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("")
    done = run_cell(tmp_path, published, "import sys; sys.path.insert(0, '.'); import utils\n")
    assert done.returncode != 0
    assert "another package named 'utils'. Restart it" in done.stderr
