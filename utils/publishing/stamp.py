"""The repository's address stands in ``_config.yml``; from there it is stamped into every lab."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from nbformat import NotebookNode

from utils.publishing.notebooks import ROOT, labs, read, write

BADGES = re.compile(r"<!-- badges -->(?:.*?<!-- /badges -->)?", re.DOTALL)
CITED = re.compile(r"^repository-code: .*$", re.MULTILINE)
REPOSITORY_LINE = re.compile(r'^REPOSITORY = ".*"$', re.MULTILINE)
CLONED = re.compile(r"(git clone )https://[^\s`]+(`, `cd |\ncd )[\w.-]+")  # what a reader types first
BRANCH = re.compile(r"\w[\w-]*(?:[./]\w[\w-]*)*")
TOLD_HOW_TO_CLONE = ("README.md", "book/how_to_use.md")
BRANCH_LINE = re.compile(r'^BRANCH = ".*"$', re.MULTILINE)


@dataclass(frozen=True)
class Repository:
    """Where the book's source is published."""

    url: str
    branch: str

    @property
    def slug(self) -> str:
        """``owner/name`` of a GitHub address; ``ValueError`` on others, which Colab cannot open."""
        match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", self.url)
        if not match:
            raise ValueError(f"repository.url must be https://github.com/OWNER/NAME, got {self.url!r}")
        return match.group(1)


def configured(root: Path = ROOT, file: Path | None = None) -> Repository:
    """The repository that ``_config.yml``, or another ``file`` of its form, names."""
    config = yaml.safe_load((file or root / "_config.yml").read_text(encoding="utf-8"))
    return Repository(url=config["repository"]["url"], branch=config["repository"]["branch"])


def badges(repository: Repository, lab: str) -> str:
    """The line of links under a lab's title."""
    # links, not pictures: the image of a badge would be a request to another host
    page = f"{repository.slug}/blob/{repository.branch}/labs/{lab}"
    colab = f"https://colab.research.google.com/github/{page}"
    kaggle = f"https://kaggle.com/kernels/welcome?src=https://github.com/{page}"
    download = f"https://raw.githubusercontent.com/{repository.slug}/{repository.branch}/labs/{lab}"
    links = f"[Open in Colab]({colab}) · [Open in Kaggle]({kaggle}) · [Download the notebook]({download})"
    return f"<!-- badges -->\n{links}\n<!-- /badges -->"


def stamp(notebook: NotebookNode, repository: Repository, lab: str) -> NotebookNode:
    """Fill in the badges of cell 0, address and branch in cell 1; ``ValueError`` if one has no place."""
    title, setup = notebook.cells[0], notebook.cells[1]
    if not BADGES.search(title.source):
        raise ValueError(f"{lab}: cell 0 has no line '<!-- badges -->'")
    for name, line in (("REPOSITORY", REPOSITORY_LINE), ("BRANCH", BRANCH_LINE)):
        if not line.search(setup.source):
            raise ValueError(f"{lab}: cell 1 has no line '{name} = \"…\"'")
    title.source = BADGES.sub(lambda _: badges(repository, lab), title.source)
    setup.source = REPOSITORY_LINE.sub(lambda _: f'REPOSITORY = "{repository.url}"', setup.source)
    setup.source = BRANCH_LINE.sub(lambda _: f'BRANCH = "{repository.branch}"', setup.source)
    return notebook


def _with_value(value: str, line: re.Match[str]) -> str:
    return f"{line[1]} {value}"


def stamp_all(url: str | None = None, branch: str | None = None, root: Path = ROOT) -> Repository:
    """Stamp every lab with the repository of ``_config.yml``, after writing ``url`` and ``branch`` there."""
    if branch is not None and not BRANCH.fullmatch(branch):
        raise ValueError(f"a branch is named by letters, digits and - . / _, got {branch!r}")
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8")
    for key, value in (("url", url), ("branch", branch)):
        if value is not None:
            # a branch named "on" would be read as true without quotation marks
            told = value if yaml.safe_load(value) == value else json.dumps(value)
            text, count = re.subn(rf"(?m)^(\s+{key}:) .*$", partial(_with_value, told), text)
            if count != 1:
                raise ValueError(f"_config.yml must have one line '{key}:' under repository, found {count}")
    repository = Repository(**{k: yaml.safe_load(text)["repository"][k] for k in ("url", "branch")})
    assert repository.slug  # refuse a bad address before anything is written
    config.write_text(text, encoding="utf-8")
    citation = root / "CITATION.cff"
    if citation.exists():
        cited = CITED.sub(f"repository-code: {repository.url}", citation.read_text(encoding="utf-8"))
        citation.write_text(cited, encoding="utf-8")
    name = repository.slug.partition("/")[2]
    for page in (root / told for told in TOLD_HOW_TO_CLONE):
        if page.exists():
            told = page.read_text(encoding="utf-8")
            page.write_text(CLONED.sub(rf"\g<1>{repository.url}\g<2>{name}", told), encoding="utf-8")
    for path in labs(root):
        write(stamp(read(path), repository, path.name), path)
    return repository
