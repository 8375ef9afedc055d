"""The keys under which executed labs are kept: what changes the key of one lab, and what of all."""

import nbformat
import pytest

from utils.publishing.fingerprint import fingerprints, imports, own_files
from utils.publishing.notebooks import labs, read, write

v4 = nbformat.v4
WHEEL = """
from utils.course.explorers.base import Explorer
shown = Explorer(
    "wheel_script", 1)
"""
FILES = {
    "utils/__init__.py": "",
    "utils/models/nets.py": "x = 1",
    "utils/course/lab.py": "from utils.course.checks.shared_by_all import x",
    "utils/course/checks/__init__.py": "",
    "utils/course/checks/core.py": "",
    "utils/course/checks/shared_by_all.py": "",
    "utils/course/checks/lab_01.py": "def f():\n    from utils.course.checks import core",
    "utils/course/checks/lab_02.py": "from utils.course.checks.core import call",
    "utils/course/explorers/__init__.py": "",
    "utils/course/explorers/base.py": "",
    "utils/course/explorers/base.js": "",
    "utils/course/explorers/explorers.css": "",
    "utils/course/explorers/wheel.py": WHEEL,
    "utils/course/explorers/wheel_script.js": "",
    "utils/publishing/book.py": "",
    "utils/publishing/execution.py": "",
    "book/results/some/run.json": "{}",
    "book/results/labs/01_one.json": "{}",
    "book/results/labs/02_two/picture.json": "{}",
}
ONE = "from utils.course.checks import lab_01 as check"
TWO = "from utils.course.checks import lab_02 as check\nfrom utils.course.explorers.wheel import wheel"
FIRST, SECOND, BOTH, NEITHER = {"01_one"}, {"02_two"}, {"01_one", "02_two"}, set()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project with two labs."""
    monkeypatch.setenv("CNNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for stem, code in (("01_one", ONE), ("02_two", TWO)):
        write(notebook(code), tmp_path / "labs" / f"{stem}.ipynb")
    return tmp_path


def notebook(code, text="text"):
    return v4.new_notebook(cells=[v4.new_markdown_cell(text, id="a"), v4.new_code_cell(code, id="b")])


def changed(root, act, profile="smoke"):
    """The labs whose keys are others after ``act``."""
    before = fingerprints("smoke", root)
    act()
    after = fingerprints(profile, root)
    return {path.stem for path in before if before[path] != after[path]}


@pytest.mark.parametrize(
    "file, expected",
    [
        ("utils/models/nets.py", BOTH),
        ("utils/course/lab.py", BOTH),
        ("utils/course/checks/shared_by_all.py", BOTH),
        ("utils/course/checks/core.py", BOTH),
        ("utils/course/checks/lab_01.py", FIRST),
        ("utils/course/checks/lab_02.py", SECOND),
        ("utils/course/explorers/wheel.py", SECOND),
        ("utils/course/explorers/wheel_script.js", SECOND),
        ("utils/course/explorers/base.py", SECOND),
        ("utils/course/explorers/base.js", SECOND),
        ("utils/course/explorers/explorers.css", SECOND),
        ("utils/course/explorers/new.py", NEITHER),
        ("utils/models/new.py", BOTH),
        ("utils/publishing/book.py", NEITHER),
        ("utils/publishing/execution.py", BOTH),
        ("book/results/some/run.json", BOTH),
        ("book/results/labs/01_one.json", FIRST),
        ("book/results/labs/02_two/picture.json", SECOND),
        ("data/cifar10.tar", BOTH),
        ("book/intro.md", NEITHER),
    ],
)
def test_an_edit_changes_the_keys_of_the_labs_that_rest_on_the_file(root, file, expected):
    assert changed(root, lambda: (root / file).write_text("# edited")) == expected


def test_code_counts_and_text_does_not(root):
    path = root / "labs" / "01_one.ipynb"
    assert changed(root, lambda: write(notebook(ONE, "other text"), path)) == NEITHER
    assert changed(root, lambda: write(notebook(f"{ONE}\nsize = 3"), path)) == FIRST


def test_the_profile_counts(root):
    assert changed(root, lambda: None, profile="quick") == BOTH


def test_an_earlier_state_has_its_earlier_key(root):
    file = root / "utils/course/checks/lab_01.py"
    before = fingerprints("smoke", root)
    assert changed(root, lambda: file.write_text("new")) == FIRST
    file.write_text(FILES["utils/course/checks/lab_01.py"])
    assert fingerprints("smoke", root) == before


def test_names_of_imports():
    assert imports("import a.b\nfrom c import d, e as f\ndef g():\n    import h") == {
        "a.b",
        "c",
        "c.d",
        "c.e",
        "h",
    }


@pytest.mark.parametrize("path", labs(), ids=lambda path: path.stem)
def test_each_lab_rests_on_its_own_checks_and_on_whole_explorers(path):
    files = {file.name for file in own_files(read(path), path.stem)}
    assert {name for name in files if name.startswith("lab_")} == {f"lab_{path.stem[:2]}.py"}
    assert {"core.py", "base.py", "base.js", "explorers.css"} < files
    modules = [name for name in files if name.endswith(".py") and name not in ("core.py", "base.py")]
    assert sum(name.endswith(".js") for name in files) == len(modules), (
        "a script for each explorer, and the frame"
    )


def test_a_fetched_dataset_counts_until_it_is_gone(root, tmp_path):
    before = fingerprints("smoke", root)
    folder = tmp_path / "cache" / "downloads" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    assert changed(root, lambda: (folder / "data_batch_1").write_text("fetched")) == BOTH
    (folder / "data_batch_1").unlink()
    assert fingerprints("smoke", root) == before


def test_a_data_folder_below_the_home_is_listed(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("CNNLAB_DATA", "~/data")
    assert changed(root, lambda: (tmp_path / "data" / "cifar10.tar").write_text("new")) == BOTH


def test_a_cell_that_is_no_python_is_named(root):
    write(notebook("%matplotlib inline"), root / "labs" / "01_one.ipynb")
    with pytest.raises(ValueError, match=r"labs/01_one.ipynb, cell 1, is no Python that can be read"):
        fingerprints("smoke", root)
