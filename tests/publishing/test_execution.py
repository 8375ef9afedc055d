"""Notebooks executed several at a time into the cache of Jupyter Book."""

import os

import nbformat
import pytest
from jupyter_cache import get_cache
from nbformat.v4 import new_code_cell, new_notebook

from utils.publishing.execution import execute_into_cache
from utils.publishing.steps import Progress

# each waits for the file that the other one writes
MEETING = """
import pathlib, time
pathlib.Path("{own}.here").touch()
for _ in range(600):
    if pathlib.Path("{other}.here").exists():
        break
    time.sleep(0.1)
print(pathlib.Path("{other}.here").exists())
"""


class Told(Progress):
    """Progress that remembers what it was told."""

    def __init__(self):
        super().__init__()
        self.shares = []

    def share(self, done):
        self.shares.append(done)


def write(folder, name, *sources):
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources], metadata=metadata), path)
    return path


def cached_outputs(folder, path):
    """The text printed by the cells of a notebook, from the cache as Jupyter Book takes it."""
    _, notebook = get_cache(folder).merge_match_into_notebook(nbformat.read(path, as_version=4))
    return [
        "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
    ]


def test_notebooks_run_side_by_side_once_and_failures_are_left_out(tmp_path, capsys):
    cache, log = tmp_path / "cache", tmp_path / "logs" / "kernels.log"
    environment = {**os.environ, "CNNLAB_PROFILE": "smoke"}
    environment.pop("OMP_NUM_THREADS", None)
    threads = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['CNNLAB_PROFILE'])"
    one = write(tmp_path, "one", MEETING.format(own="one", other="two"), threads)
    two = write(tmp_path, "two", MEETING.format(own="two", other="one"))
    broken = write(tmp_path, "broken", "1 / 0")
    kept = {path: tmp_path / "kept" / path.stem / "key.ipynb" for path in (one, two, broken)}
    assert sorted(execute_into_cache(kept, cache, 2, 60, environment, log=log)) == [one, two]
    assert "broken.ipynb failed: CellExecutionError" in capsys.readouterr().out
    share = max(1, (os.cpu_count() or 1) // 2)
    assert cached_outputs(cache, one) == ["True\n", f"{share} smoke\n"]
    assert cached_outputs(cache, two) == ["True\n"]
    assert [path.exists() for path in kept.values()] == [True, True, False]

    del kept[broken]
    assert execute_into_cache(kept, cache, 2, 60, environment, log=log) == []
    write(tmp_path, "two", "print('changed')")
    kept[two] = tmp_path / "kept" / "two" / "another key.ipynb"
    assert execute_into_cache(kept, cache, 2, 60, environment, log=log) == [two]
    assert cached_outputs(cache, two) == ["changed\n"]

    new_cache = tmp_path / "new cache"
    assert execute_into_cache(kept, new_cache, 2, 60, environment, log=log) == []
    assert cached_outputs(new_cache, one) == ["True\n", f"{share} smoke\n"]
    assert cached_outputs(new_cache, two) == ["changed\n"]


def test_what_a_kernel_says_beside_its_outputs_goes_to_the_log(tmp_path, capfd):
    loud = "import os, sys\nprint('seen')\nos.write(sys.__stderr__.fileno(), b'noise of a library\\n')"
    path, log = write(tmp_path, "loud", loud), tmp_path / "kernels.log"
    progress = Told()
    execute_into_cache({path: tmp_path / "kept.ipynb"}, tmp_path / "cache", 1, 60, log=log, progress=progress)
    assert "noise of a library" in log.read_text(encoding="utf-8")
    assert "".join(capfd.readouterr()) == ""
    assert progress.shares == [1.0]


def test_a_kept_notebook_of_other_code_is_run_again(tmp_path):
    path, kept = write(tmp_path, "one", "print(1)"), tmp_path / "kept.ipynb"
    execute_into_cache({path: kept}, tmp_path / "first", 1, 60, log=tmp_path / "log")
    write(tmp_path, "one", "print(2)")
    assert execute_into_cache({path: kept}, tmp_path / "second", 1, 60, log=tmp_path / "log") == [path]
    assert cached_outputs(tmp_path / "second", path) == ["2\n"]


def test_refuses_no_notebooks_at_a_time(tmp_path):
    with pytest.raises(ValueError, match="got 0"):
        execute_into_cache({}, tmp_path, 0, 60, log=tmp_path / "log")
