"""A lab on a host that brings its own packages: what Colab holds will do, and is left as it is."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from utils.course import environment
from utils.course.environment import OLDEST_PYTHON, missing, requirements
from utils.publishing.notebooks import ROOT, labs, tags
from utils.publishing.student_tree import write_student_edition

HELD = dict(
    re.findall(r"(?m)^([\w-]+)==(\S+)$", Path(__file__).with_name("colab.txt").read_text(encoding="utf-8"))
)
ADDRESS = "https://github.com/somebody/course-students"
IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
LACKING = (
    "tiny-extra"  # what this host lacks; its newest version asks for a numpy that the host does not have
)
VERSIONS = "import numpy, torch, json; print(json.dumps([numpy.__version__, torch.__version__]))"
MOST_SECONDS = 60  # from the first cell to the start of the lab


def number(version):
    return tuple(map(int, version.split(".")[:3]))


def test_colab_lacks_two_packages_and_holds_the_others_new_enough(monkeypatch):
    def distribution(name):
        if name not in HELD:
            raise PackageNotFoundError(name)

    monkeypatch.setattr(environment.importlib.metadata, "distribution", distribution)
    lines = requirements(ROOT)
    assert [re.match(r"[\w-]+", line)[0] for line in missing(lines)] == ["captum", "cleanlab"]
    asked = {name: number(least) for name, least in re.findall(r"(?m)^([\w-]+)>=([\d.]+)$", "\n".join(lines))}
    assert len(asked) == len(lines)
    old = {name: HELD[name] for name, least in asked.items() if name in HELD and number(HELD[name]) < least}
    assert not old, "a host's older version is left alone, so that the labs would run on it"
    assert number(HELD["python"]) >= OLDEST_PYTHON


def wheel(folder, name, version, *needs):
    """A package of one empty module, as pip installs it without a network."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{module}/__init__.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {need}\n" for need in needs),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}\n")
    files[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A machine of somebody else: its kernel lacks one package, and its git reaches one repository."""
    tree, content, wheels = tmp_path / "published", tmp_path / "content", tmp_path / "wheels"
    write_student_edition(ADDRESS, to=tree)
    with open(tree / "requirements.txt", encoding="utf-8") as file:
        text = file.read().replace(environment.SECTION, f"{environment.SECTION}\n{LACKING}>=1.0")
    (tree / "requirements.txt").write_text(text, encoding="utf-8")
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*IDENTITY, "commit", "-q", "-m", "course"]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    content.mkdir()
    wheels.mkdir()
    wheel(wheels, LACKING, "1.0", "numpy>=2.0")
    wheel(wheels, LACKING, "2.0", "numpy>=50")
    wheel(wheels, "numpy", "99.0")
    own = tmp_path / "own"
    venv.create(own, symlinks=os.name != "nt")
    base = {"base": str(own), "platbase": str(own)}
    packages = Path(sysconfig.get_path("purelib", vars=base))
    (packages / "of_the_host.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    python = Path(sysconfig.get_path("scripts", vars=base)) / Path(sys.executable).name
    kernel = tmp_path / "jupyter" / "kernels" / "host"
    kernel.mkdir(parents=True)
    start = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "host", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    for name, value in {
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tree.as_posix()}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "CNNLAB_PROFILE": "smoke",
        "PIP_CONFIG_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    return tree, content


def run(notebook, folder):
    """Run a notebook on the host, as far as it goes; returns the seconds that each cell took."""
    client = NotebookClient(
        notebook,
        kernel_name="host",
        timeout=300,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    seconds = []
    with client.setup_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        for index, cell in enumerate(notebook.cells):
            began = time.perf_counter()
            client.execute_cell(cell, index)
            seconds.append(time.perf_counter() - began)
    return seconds


def errors(cell):
    return [f"{each.ename}: {each.evalue}" for each in cell.get("outputs", []) if each.output_type == "error"]


def printed(cell):
    return "".join(each.text for each in cell.outputs if each.output_type == "stream")


@pytest.mark.notebooks
def test_the_first_lab_runs_on_a_host_with_packages_of_its_own(host):
    tree, content = host
    notebook = nbformat.read(tree / "labs" / labs()[0].name, 4)
    ask = nbformat.v4.new_code_cell(VERSIONS)
    extra = nbformat.v4.new_code_cell("import tiny_extra; print(tiny_extra.__version__, tiny_extra.__file__)")
    notebook.cells = [ask, *notebook.cells, nbformat.from_dict(ask), extra]
    seconds = run(notebook, content)
    before, *cells, after, found = notebook.cells
    assert printed(before) == printed(after) and "99.0" not in printed(after)
    assert printed(found).startswith("1.0 ") and str(content.parent / "own") in printed(found)
    assert printed(cells[1]).strip() == f"Installing what this host lacks: {LACKING} …"
    assert (content / "convolution-lab" / "labs").is_dir()
    told = {number: errors(cell) for number, cell in enumerate(cells) if errors(cell)}
    unwritten = [number for number, cell in enumerate(cells) if {"solution", "check"} & tags(cell)]
    assert set(told) <= set(unwritten), told
    assert all("is not written yet" in each for found in told.values() for each in found), told
    set_up = seconds[2]  # by the clock, on a machine that may have other work; alone it takes seconds
    assert set_up < MOST_SECONDS


@pytest.mark.notebooks
@pytest.mark.parametrize("lacking", ["the project", "a package"])
def test_a_host_without_a_network_says_so_in_one_sentence(host, monkeypatch, lacking):
    tree, content = host
    if lacking == "the project":
        monkeypatch.setenv("GIT_CONFIG_KEY_0", "url.https://127.0.0.1:9/.insteadOf")
    else:
        monkeypatch.delenv("PIP_FIND_LINKS")
    notebook = nbformat.read(tree / "labs" / labs()[0].name, 4)
    notebook.cells = notebook.cells[:2]
    run(notebook, content)
    (said,) = errors(notebook.cells[1])
    assert said.startswith("RuntimeError: ") and "Kaggle: Settings → Internet on" in said and "\n" not in said
    assert (
        "could not be fetched" if lacking == "the project" else f"pip could not install {LACKING}"
    ) in said
