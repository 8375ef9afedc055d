"""For every exercise of every lab, in a real kernel: the stub fails its check, and the solution passes it.

Where a lab goes on with the package's own function until an exercise is written, it says so instead, and the
student edition of the lab, with nothing written, runs from top to bottom.
"""

import os
import re

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from utils.publishing.notebooks import labs, read, tags
from utils.publishing.student import stub, student_edition

pytestmark = pytest.mark.notebooks
EXERCISES = [
    pytest.param(path, number, id=f"{path.stem}-cell{number}")
    for path in labs()
    for number, cell in enumerate(read(path).cells)
    if "solution" in tags(cell)
]
USE = re.compile(r"^(\w+) = check\.use\(\1\)$", re.MULTILINE)  # an exercise in place


def all_in_place(path):
    """Whether a lab goes on with the package's own wherever nothing is written yet."""
    checks = [cell.source for cell in read(path).cells if "check" in tags(cell)]
    return all(USE.search(source) for source in checks)


@pytest.fixture(scope="module")
def kernel():
    """Returns a function: lab → its running kernel, in which the cells that exercises need have been run."""
    clients = {}

    def for_lab(path):
        if path not in clients:
            notebook = read(path)
            client = NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}, timeout=300)
            context = client.setup_kernel()
            context.__enter__()
            clients[path] = (client, notebook, context)
            for number, cell in enumerate(notebook.cells):
                if tags(cell) & {"setup", "needed"}:
                    client.execute_cell(cell, number)
        return clients[path][:2]

    yield for_lab
    for _, _, context in clients.values():
        context.__exit__(None, None, None)


def run(client, notebook, number, source):
    """Execute cell ``number`` with the given source; the client puts the cell it ran into the notebook."""
    cell = type(notebook.cells[number])({**notebook.cells[number], "source": source})
    return client.execute_cell(cell, number)


@pytest.mark.parametrize("path, number", EXERCISES)
def test_stub_fails_and_solution_passes(kernel, path, number):
    client, notebook = kernel(path)
    solution, check = (cell.source for cell in read(path).cells[number : number + 2])
    run(client, notebook, number, stub(solution))
    if USE.search(check):
        told = run(client, notebook, number + 1, check)
        assert any("○" in output.get("text", "") for output in told.outputs), "it must say that it goes on"
    else:
        with pytest.raises(CellExecutionError, match="✗ .*not written yet"):
            run(client, notebook, number + 1, check)
    run(client, notebook, number, solution)
    passed = run(client, notebook, number + 1, check)
    assert any("✓" in output.get("text", "") for output in passed.outputs), "a passed check must say so"


IN_PLACE = [path for path in labs() if all_in_place(path)]


def test_the_labs_that_were_rewritten_go_on_without_their_exercises():
    assert "07_batchnorm_vgg" in {path.stem for path in IN_PLACE}, "else nothing is run below"


@pytest.mark.parametrize("path", IN_PLACE, ids=lambda path: path.stem)
def test_a_student_edition_with_nothing_written_runs_from_top_to_bottom(path):
    edition = student_edition(read(path))
    assert sum("NotImplementedError" in cell.source for cell in edition.cells) >= 3
    client = NotebookClient(edition, resources={"metadata": {"path": str(path.parent)}}, timeout=600)
    client.execute(env={**os.environ, "CNNLAB_PROFILE": "smoke"})
