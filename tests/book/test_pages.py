"""The built book in a real browser: quiet, self-contained, narrow enough, readable in the dark, searchable, with live explorers."""

import functools
import http.server
import threading

import pytest
import yaml

from utils.course.notebooks import ROOT, labs

pytestmark = [pytest.mark.book, pytest.mark.browser]
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
LABS = [f"labs/{path.stem}" for path in labs()]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
SHADOW = "host => (host.shadowRoot ?? host).innerHTML"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log line for each."""

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture(scope="session")
def site():
    """Address of a server on this machine that serves the built book."""
    assert (HTML / "search.html").exists(), "the book is not built: run `make book` first"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def visit(browser, site):
    """Returns a function that opens a page and collects console errors and requests to other hosts."""
    contexts = []

    def open_page(name, viewport=DESKTOP, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.errors, page.foreign = [], []
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.on("request", lambda r: page.foreign.append(r.url) if not r.url.startswith((site, "data:", "blob:")) else None)
        page.goto(f"{site}/{name}.html", wait_until="networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_every_lab_is_in_the_book():
    assert [page for page in PAGES if page.startswith("labs/")] == LABS


@pytest.mark.parametrize("name", PAGES)
def test_page_is_quiet_and_asks_no_other_host(visit, name):
    page = visit(name)
    assert page.errors == []
    assert page.foreign == []
    assert page.locator("article.bd-article h1").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_overflows_on_a_phone(visit, name, scheme):
    page = visit(name, PHONE, scheme)
    width = page.evaluate("document.documentElement.scrollWidth")
    # an element may be wider than the screen only inside a box that scrolls or clips
    wide = page.evaluate(
        """() => [...document.querySelectorAll('article.bd-article *')].filter(e => {
            if (e.getBoundingClientRect().right <= innerWidth + 1 || e.closest('mjx-assistive-mml')) return false;
            for (let p = e.parentElement; p && p.tagName !== 'ARTICLE'; p = p.parentElement)
                if (getComputedStyle(p).overflowX !== 'visible') return false;
            return getComputedStyle(e).overflowX === 'visible' && getComputedStyle(e).position !== 'absolute';
        }).map(e => e.tagName + '.' + e.className).slice(0, 5)"""
    )
    assert (width, wide) == (PHONE["width"], [])


@pytest.mark.parametrize("name", LABS)
def test_figures_keep_their_proportions_on_a_phone(visit, name):
    page = visit(name, PHONE)
    bent = page.evaluate(
        """() => [...document.querySelectorAll('article div.cell_output img')].filter(i => {
            const box = i.getBoundingClientRect(), style = getComputedStyle(i);
            const pad = ['Top', 'Right', 'Bottom', 'Left']
                .map(side => parseFloat(style['padding' + side]) + parseFloat(style['border' + side + 'Width']));
            const shown = (box.width - pad[1] - pad[3]) / (box.height - pad[0] - pad[2]);
            return Math.abs(shown / (i.naturalWidth / i.naturalHeight) - 1) > 0.03;
        }).map(i => i.alt.slice(0, 60))"""
    )
    assert bent == []


@pytest.mark.parametrize("name", PAGES)
def test_no_table_is_left_as_text(visit, name):
    page = visit(name)
    left = page.evaluate("() => [...document.querySelectorAll('article p')].map(p => p.textContent.trim()).filter(t => t.startsWith('|'))")
    assert left == []


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_has_a_text(visit, name):
    page = visit(name)
    bare = page.evaluate(
        "() => [...document.querySelectorAll('article img')].filter(i => !i.alt || i.alt.includes('_images')).map(i => i.src)"
    )
    assert bare == []


@pytest.mark.parametrize("name", LABS)
def test_lab_page_has_badge_links_and_living_explorers(visit, name):
    page = visit(name)
    assert "after imports" in page.locator(".cnnlab-badge").first.inner_text()
    colab = page.locator("a[href^='https://colab.research.google.com/github/']")
    assert colab.count() >= 2, "the theme's launch button and the link under the title"
    assert {link.get_attribute("href").split("/")[-1] for link in colab.all()} == {f"{name.split('/')[1]}.ipynb"}
    explorers = page.locator(".cnnlab-explorer")
    assert explorers.count() >= 1
    for explorer in explorers.all():
        explorer.scroll_into_view_if_needed()
        before = explorer.evaluate(SHADOW)
        number = explorer.locator("input[type=range], input[type=number]").first
        number.focus()
        kind, at_the_top = number.evaluate("input => [input.type, input.max !== '' && Number(input.value) >= Number(input.max)]")
        less, more = ("ArrowLeft", "ArrowRight") if kind == "range" else ("ArrowDown", "ArrowUp")
        page.keyboard.press(less if at_the_top else more)
        assert explorer.evaluate(SHADOW) != before, "another first number changes nothing"
    assert page.errors == []


@pytest.mark.parametrize("name", LABS)
def test_solutions_are_folded(visit, name):
    page = visit(name)
    for cell in page.locator(".cell.tag_solution").all():
        assert not cell.locator("pre").first.is_visible()


def test_search_finds_a_word_of_a_lab(visit):
    page = visit("search")
    page.goto(page.url + "?q=Toeplitz", wait_until="networkidle")
    page.wait_for_selector("#search-results li a")
    assert any("01_convolution" in link.get_attribute("href") for link in page.locator("#search-results li a").all())


def test_the_reader_can_turn_the_light_off(visit):
    page = visit(PAGES[0])
    seen = set()
    for _ in range(3):
        page.locator("button.theme-switch-button").locator("visible=true").first.click()
        seen.add(page.evaluate("document.documentElement.dataset.theme"))
    assert seen == {"light", "dark"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LABS)
def test_explorers_and_badges_are_accessible(visit, name, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(name, DESKTOP, scheme)
    context = [[".cnnlab-explorer"], [".cnnlab-badge"]]
    found = Axe().run(page, context={"include": context}).response["violations"]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found] == []
