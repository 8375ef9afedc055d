"""What a record says of the code and the machine that made it; and exports of committed code."""

import pytest
import torch

from tests.tiny_repository import git
from utils.experiments import provenance
from utils.experiments.queue import export
from utils.training import processor


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit of ``utils/``."""
    folder = tmp_path / "repository"
    (folder / "utils").mkdir(parents=True)
    (folder / "utils" / "code.py").write_text("first\n")
    (folder / "other.txt").write_text("not code\n")
    git(folder, "init", "--quiet")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_the_commit_is_marked_where_the_code_differs_from_it(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert provenance.commit(repository) == head == export.head_of(repository)
    (repository / "other.txt").write_text("changed\n")
    assert provenance.commit(repository) == head and not export.has_changes(repository)
    (repository / "utils" / "code.py").write_text("half-edited\n")
    assert provenance.commit(repository) == f"{head}+" and export.has_changes(repository)


def test_outside_of_a_repository_the_commit_is_unknown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit(tmp_path) == "unknown" and "no git commit" in capsys.readouterr().err
    assert export.head_of(tmp_path) is None and not export.has_changes(tmp_path)


def test_an_export_has_the_committed_code_and_knows_its_commit(own, repository):
    head = git(repository, "rev-parse", "HEAD")
    (repository / "utils" / "code.py").write_text("half-edited\n")
    folder = export.export(repository, head)
    assert (folder / "utils" / "code.py").read_text() == "first\n"
    assert provenance.commit(folder) == head
    assert not (folder / "other.txt").exists()
    assert export.export(repository, head) == folder
    assert [path.name for path in folder.parent.iterdir()] == [head]


@pytest.mark.parametrize("commit", ["unknown", "", "HEAD", "f" * 40])
def test_what_the_repository_does_not_have_is_not_exported(own, repository, commit):
    assert export.export(repository, commit) is None
    assert export.export(repository, f"{git(repository, 'rev-parse', 'HEAD')}+") is None


def test_an_export_that_nobody_uses_is_removed_after_a_month(own, repository):
    folder = export.export(repository, git(repository, "rev-parse", "HEAD"))
    used = (folder / "COMMIT").stat().st_mtime
    export.remove_old_exports(now=used + 29 * 86_400)
    assert folder.exists()
    export.remove_old_exports(now=used + 31 * 86_400)
    assert not folder.exists()


def test_the_machine_is_described(monkeypatch):
    text = "processor\t: 0\nmodel name\t: Some  Processor 9000\nflags\t\t: fpu avx2 amx_bf16 sse\n"
    monkeypatch.setattr(processor, "_cpuinfo", lambda: text)
    found = provenance.machine("cpu")
    assert found["processor"] == "Some Processor 9000" and found["features"] == ["amx_bf16", "avx2"]
    assert found["threads"] == torch.get_num_threads() and found["torch"] == torch.__version__
    assert provenance.describe_device("cpu").startswith("cpu (Some Processor 9000, ")


def test_a_system_that_tells_nothing_still_has_a_processor(monkeypatch):
    monkeypatch.setattr(processor, "_cpuinfo", lambda: "")
    assert processor.processor_name() and provenance.features() == ()
