"""Records of the labs' measurements: which are due, and recording them, in a tiny repository with a lab."""

import json
from pathlib import Path

import nbformat
import pytest

from tests.tiny_repository import git
from utils.course.measured import read_measurements
from utils.publishing import measurements
from utils.publishing.measurements import Due, due_measurements, record
from utils.publishing.notebooks import write

v4 = nbformat.v4
PROJECT = Path(__file__).resolve().parents[2]
SETUP = f"import sys\nsys.path.insert(0, {str(PROJECT)!r})\nfrom utils.course import start_lab"
START = 'lab = start_lab("01_test", images=(8, 50, 100), steps=(1, 3, 9))'
DATA = 'data = lab.dataset("digits")\nscale = 3'
SHARE = """
@lab.measured
def share(images):
    labels = data.train.labels[:images]
    return {"zeros": (labels == 0).sum().item() / images, "scaled": [scale / 7, float("nan")]}
"""
WALK = """
@lab.measured
def walk(steps):
    return list(range(steps))
"""
CALLS = "shares = share(lab.sizes.images)\nwalked = walk(lab.sizes.steps)"
CELLS = (SETUP, START, DATA, SHARE, WALK, CALLS)


def lab_of(root, *cells, name="01_test"):
    """Write a lab of these code cells; returns its path."""
    path = root / "labs" / f"{name}.ipynb"
    write(v4.new_notebook(cells=[v4.new_code_cell(one, id=f"c{n}") for n, one in enumerate(cells)]), path)
    return path


def edited(old, new, cells=CELLS):
    text = "\n#cut\n".join(cells)
    assert text.count(old) == 1
    return text.replace(old, new).split("\n#cut\n")


@pytest.fixture
def root(tmp_path, own):
    """A committed project with one lab, whose kernel uses the code of this one."""
    root = tmp_path / "project"
    (root / "utils").mkdir(parents=True)
    (root / "utils" / "some.py").write_text("")
    lab_of(root, *CELLS)
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "a test")
    return root


def recorded(root, cells=CELLS, **more):
    """Write records as if the lab had been run with these cells."""
    run = {"datasets": [], "device": "CPU", "profile": "quick", "seconds": 1.0, "sizes": {}, "versions": {}}
    found = {}
    for one in measurements.measured_code(cells):
        entry = {
            **run,
            "started": "2026-11-29T10:00:00",
            "value": one.name,
            "commit": "abc",
            "code": one.code,
        }
        entry |= more
        found[one.name] = {**entry, "digest": measurements.digest_of("01_test", one.name, entry)}
    measurements._write("01_test", found, root)
    return root / "book" / "results" / "labs" / "01_test.json"


def due(root):
    return [str(one) for one in due_measurements(root)]


def test_what_is_due_is_named_with_the_reason(root):
    assert due_measurements(root) == [
        Due("01_test", "share", "it was never recorded"),
        Due("01_test", "walk", "it was never recorded"),
    ]
    recorded(root)
    assert due(root) == []


@pytest.mark.parametrize(
    "old, new, reason",
    [
        ("== 0", "== 1", ["01_test, share: since it was recorded share changed"]),
        ("scale = 3", "scale = 4", ["01_test, share: since it was recorded scale changed"]),
        ("(1, 3, 9)", "(1, 4, 9)", ["01_test, walk: since it was recorded lab.sizes.steps 3 → 4 changed"]),
        ("(1, 3, 9)", "(2, 3, 8)", []),
        ("return list(", '"""Steps."""\n    return list(  # one by one\n        ', []),
        (
            "walked = walk(lab.sizes.steps)",
            "walked = walk(3)",
            ["01_test, walk: since it was recorded the call, lab.sizes.steps 3 → unused changed"],
        ),
    ],
)
def test_a_record_is_due_when_its_function_is_another(root, old, new, reason):
    recorded(root)
    lab_of(root, *edited(old, new))
    assert due(root) == reason


def test_records_of_what_is_gone_and_damaged_records_are_due(root):
    path = recorded(root)
    lab_of(root, *CELLS[:4], "share(lab.sizes.images)")
    assert due(root) == ["01_test, walk: the lab has no such measured function any more"]
    path.write_text(path.read_text().replace('"share"', '"shape"'))
    (found,) = due(root)
    assert found.startswith("01_test: the record is damaged (shape: the digest does not fit")
    path.rename(path.with_name("02_gone.json"))
    (root / "labs" / "01_test.ipynb").unlink()
    assert due(root) == ["02_gone: there is no such lab any more: delete its record"]


def test_a_lab_that_breaks_a_rule_is_an_error(root):
    lab_of(root, *CELLS, "walk(3)")
    with pytest.raises(ValueError, match=r"01_test.ipynb: walk is measured, .* called 2 times"):
        due_measurements(root)


def changed_share(file):
    """What another run of the lab leaves, in which both functions measured something else."""
    left = {}
    for name, one in json.loads(file.read_text())["measurements"].items():
        left[name] = {key: one[key] for key in one if key not in ("code", "commit", "digest")}
    left["share"]["value"]["scaled"][0] = 0.714286
    left["walk"]["value"] = [7]
    return left


def test_a_lab_is_recorded_and_later_only_what_is_due(root, monkeypatch):
    path = root / "labs" / "01_test.ipynb"
    report = record(path, root=root)
    file = root / "book" / "results" / "labs" / "01_test.json"
    found = read_measurements(file)
    assert report[:2] == ["01_test, share: it was never recorded", "01_test, walk: it was never recorded"]
    assert report.count("  new") == 2
    # sizes of the profile quick
    assert found["share"].sizes == {"images": 50} and found["walk"].value == [0, 1, 2]
    assert found["share"].value["scaled"][0] == 0.428571 and str(found["share"].value["scaled"][1]) == "nan"
    assert "igits" in found["share"].datasets[0] and due(root) == []
    text = json.loads(file.read_text())["measurements"]
    assert text["walk"]["commit"] == git(root, "rev-parse", "HEAD") and text["walk"]["profile"] == "quick"
    assert record(path, root=root) == ["01_test: nothing is due; --again measures anew"]

    lab_of(root, *edited("scale = 3", "scale = 5"))
    monkeypatch.setattr(measurements, "_measured", lambda *_: changed_share(file))
    before = json.loads(file.read_text())["measurements"]
    report = record(path, root=root)
    after = json.loads(file.read_text())["measurements"]
    assert before["walk"] == after["walk"], "what is not due keeps its record"
    assert "  ['scaled'][0]: 0.428571 → 0.714286" in report
    assert after["share"]["commit"].endswith("+"), "the lab has changes on top of the commit"
    assert any("have changes on top of it" in line for line in report) and due(root) == []


def test_nothing_is_recorded_of_a_lab_that_does_not_run_to_its_end(root):
    kept = recorded(root).read_bytes()
    path = lab_of(root, "1 / 0", *CELLS)
    with pytest.raises(RuntimeError, match="did not run to its end, so nothing is recorded"):
        record(path, again=True, root=root)
    assert (root / "book" / "results" / "labs" / "01_test.json").read_bytes() == kept


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda left: left.pop("walk"), "walk was not called, so nothing is recorded"),
        (
            lambda left: left["walk"].update(datasets=[{"title": "shapes", "instead_of": "cifar10"}]),
            r"did not run on the real data \(shapes stood in for cifar10\), .* fetch cifar10`",
        ),
    ],
)
def test_nothing_is_recorded_of_other_data_or_of_a_part(root, monkeypatch, spoil, complaint):
    file = recorded(root, value={"$order": ["zeros", "scaled"], "zeros": 1, "scaled": [0]})
    kept, left = file.read_bytes(), changed_share(file)
    monkeypatch.setattr(measurements, "_measured", lambda *_: left)
    spoil(left)
    with pytest.raises(RuntimeError, match=complaint):
        record(root / "labs" / "01_test.ipynb", again=True, root=root)
    assert file.read_bytes() == kept


def test_a_record_of_a_function_that_is_gone_is_removed_without_a_run(root, monkeypatch):
    monkeypatch.setattr(measurements, "_measured", None)
    file = recorded(root)
    path = lab_of(root, *CELLS[:3], WALK, "walk(lab.sizes.steps)")
    assert record(path, root=root) == ["01_test, share: the lab has no such measured function any more"]
    assert set(read_measurements(file)) == {"walk"} and due(root) == []
    lab_of(root, *CELLS[:3])
    record(path, root=root)
    assert not file.exists()


def test_changes_are_told_number_by_number_and_not_all_of_many():
    old = {"value": {"a": [1, 2], "b": {"$array": "float32", "shape": [2], "values": [1.0, 3.0]}}}
    new = {"value": {"a": [1, 5, 6], "b": {"$array": "float32", "shape": [2], "values": [3.0, 3.0]}}}
    first, second, third = measurements._changes(old, new)
    assert (first, third) == ("  ['a'][1]: 2 → 5", "  ['a'][2]: absent → 6")[:1] + (third,)
    assert "[2] with mean 2 (" in second + third and "[2] with mean 3 (" in second + third
    many = measurements._changes({"value": list(range(20))}, {"value": list(range(1, 21))})
    assert len(many) == 9 and many[-1] == "  and 12 more"
    assert measurements._changes(old, old) == ["  the same values as before"]


def test_the_command_says_what_is_due(monkeypatch, capsys):
    from utils.publishing import __main__ as command

    found = [Due("02_lenet", "share", "it was never recorded")]
    monkeypatch.setattr(measurements, "due_measurements", lambda: found)
    assert command.main(["record", "--due"]) == 1
    assert capsys.readouterr().out == "02_lenet, share: it was never recorded\n"
    assert command.main(["record", "--due", "01_convolution_toeplitz"]) == 0
    ran = []
    monkeypatch.setattr(measurements, "record", lambda path, again: ran.append((path.stem, again)) or [])
    assert command.main(["record"]) == 0 and ran == [("02_lenet", False)]
    assert command.main(["record", "no_such_lab"]) == 1 and "no lab no_such_lab" in capsys.readouterr().err


def test_no_measurement_of_a_lab_is_older_than_its_function():
    found = due_measurements()
    assert not found, "run `python -m utils.publishing record`:\n" + "\n".join(map(str, found))


def test_the_commit_is_that_of_the_code_that_ran(root, monkeypatch):
    path = root / "labs" / "01_test.ipynb"
    ran, measure = git(root, "rev-parse", "HEAD"), measurements._measured

    def measure_and_commit(*arguments):
        (root / "utils" / "some.py").write_text("x = 1")
        git(root, "commit", "--quiet", "-am", "another")
        return measure(*arguments)

    monkeypatch.setattr(measurements, "_measured", measure_and_commit)
    record(path, root=root)
    written = json.loads((root / "book" / "results" / "labs" / "01_test.json").read_text())
    assert {each["commit"] for each in written["measurements"].values()} == {ran}
