"""JupyterLab on the introduction, from which each lab is one click away: ``python -m utils.course``.

What follows is handed on to JupyterLab, such as ``--no-browser`` or ``--port 9999``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from utils.console import print_anywhere
from utils.course.introduction import introduction

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Path(__file__).parent / "jupyter"  # shows Markdown as a page, and asks nobody about news
LOG = Path("_build") / "logs" / "jupyterlab.log"
ADDRESS = re.compile(r"https?://[\w.-]+:\d+/\S*")
LAST_LINES = 12
PATIENCE = 10  # seconds that JupyterLab has to end


def command(arguments: Sequence[str], root: Path = ROOT) -> list[str]:
    """The command that starts JupyterLab in ``root``, on the introduction."""
    page = quote(introduction(root).as_posix())
    return [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{page}",
        "--ServerApp.answer_yes=True",  # Ctrl-C ends it, without a question
        *arguments,
    ]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run JupyterLab until it is ended; returns its exit status."""
    log = root / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    paths = [str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}
    print(f"JupyterLab is starting. What it says goes to {log}", flush=True)
    process = subprocess.Popen(
        command(sys.argv[1:] if arguments is None else arguments, root),
        cwd=root,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    try:
        address = _listen(process, log)
        process.wait()
    except KeyboardInterrupt:
        _end(process)
        print("\nJupyterLab has ended.", flush=True)
        return 0
    if process.returncode and not address:
        told = log.read_text(encoding="utf-8").strip().splitlines()[-LAST_LINES:]
        print("\n".join(["JupyterLab did not start:", *(f"  {line}" for line in told)]), file=sys.stderr)
    return process.returncode


def _listen(process: subprocess.Popen, log: Path) -> str:
    """Write what JupyterLab says to its log until it ends, and tell its address, which is returned."""
    address = ""
    assert process.stdout is not None
    with open(log, "w", encoding="utf-8") as file:
        for line in process.stdout:
            file.write(line)
            file.flush()
            found = ADDRESS.search(line)
            if found and not address:
                address = found[0].removesuffix("?token=...")  # a token of one's own is not shown
                print(f"Open {address}", "A browser opens it by itself. Ctrl-C here ends it.", sep="\n")
                sys.stdout.flush()
    return address


def _end(process: subprocess.Popen) -> None:
    """Wait for JupyterLab, which has got the same Ctrl-C, and end it if it did not."""
    try:
        process.communicate(timeout=PATIENCE / 5)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(PATIENCE)


if __name__ == "__main__":
    print_anywhere()
    sys.exit(main())
