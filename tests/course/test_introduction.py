"""``make lab``: JupyterLab opens on the introduction, and says little more than where."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from utils.course import __main__ as opening
from utils.course.introduction import introduction, plain

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_the_introduction_of_the_book_becomes_plain_markdown_whose_links_lead_somewhere():
    text = plain((ROOT / "book/intro.md").read_text(encoding="utf-8"), ROOT)
    assert not re.search(r"\{\w+\}|^:|:::", text, re.MULTILINE), "left over from Jupyter Book"
    links = [each for each in LINK.findall(text) if not each.startswith("http")]
    assert all((ROOT / "_build" / each).resolve().is_file() for each in links)
    labs = [path.name for path in sorted((ROOT / "labs").glob("*.ipynb"))]
    assert [Path(each).name for each in links if each.endswith(".ipynb")] == labs


def test_directives_definitions_and_links_are_written_out(tmp_path):
    (tmp_path / "labs").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "labs" / "02_b.ipynb").write_text("{}", encoding="utf-8")
    (tmp_path / "book" / "how.md").write_text("# How it works\n", encoding="utf-8")
    text = (
        "# T\n\n::::{grid} 1 1 2 2\n:gutter: 3\n\n"
        ":::{grid-item-card} For you\nBegin with {doc}`how`.\n:::\n::::\n\n"
        "A term\n: Its meaning, see {doc}`2 · B <../labs/02_b>`,\n  and more.\n"
    )
    assert plain(text, tmp_path) == (
        "# T\n\n\n**For you.**\nBegin with [How it works](../book/how.md).\n\n"
        "**A term.** Its meaning, see [2 · B](../labs/02_b.ipynb),\n  and more.\n"
    )
    with pytest.raises(ValueError, match="a link to none, which is neither a page nor a lab"):
        plain("{doc}`none`", tmp_path)


def test_a_tree_without_a_book_begins_with_its_first_page(tmp_path):
    assert introduction(tmp_path) == Path("README.md")
    assert not (tmp_path / "_build").exists()


def test_jupyterlab_is_told_where_to_begin_also_in_a_folder_with_spaces(tmp_path):
    told = opening.command(["--port", "9"], tmp_path / "Mein Kurs ä")
    assert f"--ServerApp.root_dir={tmp_path / 'Mein Kurs ä'}" in told and told[-2:] == ["--port", "9"]
    assert "--LabApp.default_url=/lab/tree/README.md" in told


def test_a_jupyterlab_that_does_not_start_says_why_and_where_more_is(tmp_path, capsys):
    assert opening.main(["--no-such-option", "--port=none"], tmp_path) != 0
    out, err = capsys.readouterr()
    assert "JupyterLab did not start:" in err and "port" in err
    assert str(tmp_path / "_build" / "logs" / "jupyterlab.log") in out


def answer(address, seconds=20):
    """What the server says, which tells its address a moment before it answers."""
    limit = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=seconds) as response:
                return response.read().decode()
        except urllib.error.URLError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.2)


@pytest.mark.notebooks
@pytest.mark.skipif(os.name != "posix", reason="a console sends Ctrl-C otherwise")
def test_it_opens_on_the_introduction_and_ctrl_c_ends_it(tmp_path):
    (tmp_path / "README.md").write_text("# Labs\n", encoding="utf-8")
    program = (
        "import pathlib, sys\nfrom utils.course.__main__ import main\n"
        f"sys.exit(main(sys.argv[1:], pathlib.Path({str(tmp_path)!r})))"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = subprocess.Popen(
        [sys.executable, "-c", program, "--no-browser", "--allow-root", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / "mine")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # a suite that was started in the background would hand on that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        starting, address = began.stdout.readline(), began.stdout.readline()
        assert starting.startswith("JupyterLab is starting.")
        found = re.fullmatch(r"Open (http\S+/)lab/tree/README\.md\?token=(\w+)\n", address)
        assert found, address
        settings = answer(
            f"{found[1]}lab/api/settings/@jupyterlab/docmanager-extension:plugin?token={found[2]}"
        )
        assert '"default": {"markdown": "Markdown Preview"}' in settings
        os.killpg(began.pid, signal.SIGINT)  # as a terminal does
        limit = time.monotonic() + 30
        while began.poll() is None and time.monotonic() < limit:
            time.sleep(0.1)
        assert began.returncode == 0
        rest = began.stdout.read()
        assert "JupyterLab has ended." in rest and "Traceback" not in rest and len(rest.splitlines()) <= 3
    finally:
        if began.poll() is None:
            os.killpg(began.pid, signal.SIGKILL)
        began.stdout.close()
