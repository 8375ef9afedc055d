"""``make site``: the published folder, with the newest book at its root and each version beside it.

``/`` holds the book of the main branch, ``/v1.2/`` that of the tag v1.2, and ``/versions.html`` names them
all. Putting one book into the folder leaves the others as they are, so that an old version is never built
again.
"""

from __future__ import annotations

import html
from pathlib import Path, PurePosixPath

import yaml

from utils.publishing.notebooks import BUILT_WITH, ROOT
from utils.publishing.origin import VERSION, VERSIONS_GO_HERE, order
from utils.publishing.own_folder import write_folder, written

COMMAND = "site"
VERSIONS = "versions.html"
LEFT_OUT = {".buildinfo", ".DS_Store"}  # what Sphinx keeps for its next build
NEWEST = "The newest state"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Versions: {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem; }}
</style>
</head>
<body>
<main>
<h1>{title}: versions</h1>
<ul>
{items}
</ul>
</main>
</body>
</html>
"""


def write_site(version: str = "", folder: Path | None = None, root: Path = ROOT) -> Path:
    """Put the book that was built last into the site, at its root or as a version; returns the folder.

    ``version``: a tag such as v1.2, or empty for the root. ``folder``: by default ``_build/site``.
    ``ValueError`` if no book is built, if the version is none, or if the folder is somebody else's.
    """
    folder = folder or root / "_build" / "site"
    if version and not VERSION.fullmatch(version):
        raise ValueError(f"a version is a tag such as v1.2 or v1.2rc1, got {version!r}")
    book = root / "_build" / "html"
    if not (book / "index.html").is_file():
        raise ValueError(f"{book} holds no book: run `make book` first")
    if not (root / "_build" / BUILT_WITH).is_file():  # taken away while a book is being built
        raise ValueError(f"{book} was not built to its end: run `make book` first, or wait until it is done")
    title = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["title"]
    pages = with_versions(book, "../" if version else "")
    at_root = pages if not version else _kept(folder)
    known = {*versions_in(folder), *([version] if version else [])}
    has_newest = not version or PurePosixPath("search.html") in at_root
    listing = versions_page(title, sorted(known, key=order, reverse=True), has_newest).encode()
    at_root[PurePosixPath(VERSIONS)] = listing
    at_root[PurePosixPath(".nojekyll")] = b""  # else folders with an underscore would not be published
    if not has_newest:  # a version was published first: the root leads to it
        at_root[PurePosixPath("index.html")] = listing
    write_folder(folder, at_root, COMMAND)
    if version:
        write_folder(folder / version, pages, COMMAND)
    return folder


def with_versions(book: Path, up: str) -> dict[PurePosixPath, bytes]:
    """The files of a built book, its pages with a link to the page of versions; ``up`` leads to the site."""
    files = {}
    for path in sorted(book.rglob("*")):
        if not path.is_file() or path.name in LEFT_OUT:
            continue
        name, content = PurePosixPath(path.relative_to(book).as_posix()), path.read_bytes()
        if path.suffix == ".html":
            there = f"{'../' * (len(name.parts) - 1)}{up}{VERSIONS}"
            link = f'<a class="cnnlab-versions" href="{there}">Other versions</a>'
            content = content.replace(VERSIONS_GO_HERE.encode(), link.encode())
        files[name] = content
    return files


def versions_in(folder: Path) -> list[str]:
    """The versions that a site holds."""
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if path.is_dir() and VERSION.fullmatch(path.name)]


def versions_page(title: str, versions: list[str], has_newest: bool) -> str:
    """The page that names the versions; links only to what is there."""
    rows = [("index.html", NEWEST)] if has_newest else []
    rows += [(f"{version}/index.html", f"Version {version[1:]}") for version in versions]
    items = "\n".join(f'<li><a href="{there}">{html.escape(name)}</a></li>' for there, name in rows)
    return PAGE.format(title=html.escape(title), items=items)


def _kept(folder: Path) -> dict[PurePosixPath, bytes]:
    """What this command wrote to the root of the site before, as it is."""
    listed = written(folder, COMMAND)  # an interrupted command has listed more than it wrote
    return {path: (folder / path).read_bytes() for path in listed if (folder / path).is_file()}
