"""For every exercise of every lab, in a real kernel: the stub fails its check, and the solution passes it."""

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from utils.publishing.notebooks import labs, read, tags
from utils.publishing.student import stub

pytestmark = pytest.mark.notebooks
EXERCISES = [
    pytest.param(path, number, id=f"{path.stem}-cell{number}")
    for path in labs()
    for number, cell in enumerate(read(path).cells)
    if "solution" in tags(cell)
]


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
    with pytest.raises(CellExecutionError, match="✗ .*not written yet"):
        run(client, notebook, number + 1, check)
    run(client, notebook, number, solution)
    passed = run(client, notebook, number + 1, check)
    assert any("✓" in output.get("text", "") for output in passed.outputs), "a passed check must say so"
