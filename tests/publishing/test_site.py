"""The published folder: the newest book at its root, a folder for each version, a page that names them."""

import pytest

from utils.publishing.origin import VERSIONS_GO_HERE, order
from utils.publishing.own_folder import MARK
from utils.publishing.site import versions_page, write_site


@pytest.fixture
def root(tmp_path):
    (tmp_path / "_config.yml").write_text('title: "A book: <first> steps"\n')
    return tmp_path


def build(root, text, **more):
    """A book of two pages, as Sphinx would leave it; ``more``: other files by name without an ending."""
    book = root / "_build" / "html"
    for path in book.rglob("*") if book.exists() else ():
        if path.is_file():
            path.unlink()
    pages = {"index.html": text, "labs/01_sums.html": f"<p>{text} {VERSIONS_GO_HERE}</p>", "search.html": ""}
    for name, content in {
        **pages,
        ".buildinfo": "for Sphinx",
        "_static/a.js": VERSIONS_GO_HERE,
        **more,
    }.items():
        (book / name).parent.mkdir(parents=True, exist_ok=True)
        (book / name).write_text(content)
    (root / "_build" / "built_with").write_text("")


def files(folder):
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(MARK)}


def test_versions_stand_beside_the_newest_and_stay_as_they_were(root):
    build(root, "one")
    site = write_site("v1.2", root=root)
    assert site == root / "_build" / "site"
    assert (site / "index.html").read_text() == (
        site / "versions.html"
    ).read_text()  # nothing else is there yet
    assert "newest" not in (site / "versions.html").read_text()

    build(root, "two", **{"old.html": "a page that goes away"})
    write_site(root=root)
    assert (site / "index.html").read_text() == "two"
    build(root, "three")
    write_site(root=root)
    write_site("v1.10", root=root)
    book = {"index.html", "labs/01_sums.html", "search.html", "_static/a.js"}
    assert files(site) == {
        *book,
        *(f"{version}/{name}" for version in ("v1.2", "v1.10") for name in book),
        "versions.html",
        ".nojekyll",
    }
    texts = [(site / there / "index.html").read_text() for there in (".", "v1.2", "v1.10")]
    assert texts == ["three", "one", "three"]
    listing = (site / "versions.html").read_text()
    places = [
        listing.index(f'href="{there}"') for there in ("index.html", "v1.10/index.html", "v1.2/index.html")
    ]
    assert places == sorted(places)
    assert "<title>Versions: A book: &lt;first&gt; steps</title>" in listing


def test_each_page_leads_to_the_versions_from_where_it_stands(root):
    build(root, "one")
    site = write_site(root=root)
    write_site("v1.2", root=root)
    for place, way in (("labs", "../versions.html"), ("v1.2/labs", "../../versions.html")):
        text = (site / place / "01_sums.html").read_text()
        assert text == f'<p>one <a class="cnnlab-versions" href="{way}">Other versions</a></p>'
        assert (site / place / way).resolve() == site / "versions.html"
    assert (site / "_static" / "a.js").read_text() == VERSIONS_GO_HERE


def test_a_version_comes_after_its_candidates():
    tags = ["v2", "v1.2.1", "v1.10", "v1.2", "v1.2rc1"]
    assert sorted(tags, key=order) == ["v1.2rc1", "v1.2", "v1.2.1", "v1.10", "v2"]
    assert "Version 1.2rc1" in versions_page("A book", ["v1.2rc1"], False)


@pytest.mark.parametrize("version", ["1.2", "main", "v1.2/..", "../v1", "v"])
def test_what_is_no_version_is_refused(root, version):
    build(root, "one")
    with pytest.raises(ValueError, match="a version is a tag such as v1.2"):
        write_site(version, root=root)


def test_without_a_book_nothing_is_written(root):
    with pytest.raises(ValueError, match="holds no book: run `make book` first"):
        write_site(root=root)
    assert not (root / "_build").exists()


def test_a_folder_of_somebody_else_is_left_alone(root, tmp_path):
    build(root, "one")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.txt").write_text("dear diary")
    for version in ("", "v1.2"):
        with pytest.raises(ValueError, match="was not made by `make site`"):
            write_site(version, mine, root)
    assert files(mine) == {"diary.txt"}


def test_a_book_that_was_not_built_to_its_end_is_not_published(root):
    build(root, "one")
    (root / "_build" / "built_with").unlink()
    with pytest.raises(ValueError, match="was not built to its end"):
        write_site(root=root)
    assert not (root / "_build" / "site").exists()


def test_a_version_can_be_written_after_an_interruption(root):
    build(root, "one")
    site = write_site(root=root)
    (site / "index.html").unlink()  # the list of files is written before the files
    assert (write_site("v1.2", root=root) / "v1.2" / "index.html").read_text() == "one"
