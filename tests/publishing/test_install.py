"""The environment that the first command makes: one line, and pip's reason where it fails."""

import os
import re
import subprocess
import sys

import pytest

from utils.publishing import install

NOTHING = "# nothing\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with requirements, without a network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    for name in install.LISTS:
        (tmp_path / name).write_text(NOTHING, encoding="utf-8")
    return tmp_path


def test_an_environment_is_made_in_one_line_and_not_made_again(project, capfd):
    assert not install.is_ready(project)
    install.install(project)
    out, err = capfd.readouterr()
    assert re.fullmatch(
        r"1/1  install what is needed in \.venv, once, 6 GB \(about .*\) \.* ?done in .*\n", out
    )
    assert err == "" and install.is_ready(project)
    assert subprocess.run([install.python(project), "-c", "import pip"]).returncode == 0
    later = (project / ".venv/.ready").stat().st_mtime + 5
    os.utime(project / "constraints.txt", (later, later))
    assert not install.is_ready(project)


def test_pips_reason_and_its_log_are_named(project, monkeypatch, capfd):
    (project / "requirements.txt").write_text("no-such-package==1.0\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)pip could not install .*pip\.log.*No matching distribution"):
        install.install(project)
    out, err = capfd.readouterr()
    assert "not done in" in out and err == "" and not install.is_ready(project)


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0), (2, 7, 18)])
def test_another_python_is_refused_in_one_sentence(monkeypatch, capsys, version):
    monkeypatch.setattr(install.sys, "version_info", version)
    monkeypatch.setattr(install.sys, "version", ".".join(map(str, version)) + " (main)")
    assert install.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Python 3.11 to 3.13 is needed, this is " + ".".join(map(str, version)))


def test_the_versions_are_those_of_the_package():
    text = (install.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = [tuple(map(int, v.split("."))) for v in re.findall(r"Python :: (3\.\d+)", text)]
    assert (min(named), max(named)) == (install.OLDEST, install.NEWEST)


def test_it_needs_nothing_but_the_standard_library():
    told = "import sys; from utils.publishing import install, steps; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(install.ROOT)!r}); {told}"],
        capture_output=True,
        check=True,
    )
    roots = {name.partition(".")[0] for name in done.stdout.decode().split()}
    assert roots - sys.stdlib_module_names - {"utils", "__main__"} <= {
        name for name in roots if name.startswith(("_distutils_hack", "__editable__", "distutils"))
    }
