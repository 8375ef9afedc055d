"""The built book in a real browser: quiet, self-contained, narrow enough, readable in the dark, alive."""

import contextlib
import functools
import http.server
import itertools
import re
import threading

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe

from utils.publishing.notebooks import ROOT, labs

pytestmark = [pytest.mark.book, pytest.mark.browser]
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
LABS = [f"labs/{path.stem}" for path in labs()]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
SCHEMES = ["light", "dark"]
SHADOW = "host => (host.shadowRoot ?? host).innerHTML"
KEYS = {  # the type of an input -> the keys of the value before and the next one
    "range": ("ArrowLeft", "ArrowRight"),
    "number": ("ArrowDown", "ArrowUp"),
    "select-one": ("ArrowUp", "ArrowDown"),
}


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


@pytest.fixture(scope="module")
def visit(browser, site):
    """A context manager that opens a page and collects its console errors and requests to other hosts."""

    @contextlib.contextmanager
    def opened(name, viewport=DESKTOP, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        page = context.new_page()
        page.errors, page.foreign = [], []
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.on(
            "request",
            lambda r: page.foreign.append(r.url) if not r.url.startswith((site, "data:", "blob:")) else None,
        )
        try:
            page.goto(f"{site}/{name}.html", wait_until="networkidle")
            page.wait_for_load_state("load")  # on a busy machine the network may rest before all is read
            yield page
        finally:
            context.close()

    return opened


# One page serves all tests that only look at it: pytest runs those of one parameter together.


@pytest.fixture(scope="module", params=PAGES)
def desktop(visit, request):
    """A page as it opens on a desktop."""
    with visit(request.param) as page:
        yield page


@pytest.fixture(scope="module", params=itertools.product(PAGES, SCHEMES), ids="-".join)
def phone(visit, request):
    """A page as it opens on a phone, light and dark."""
    name, scheme = request.param
    with visit(name, PHONE, scheme) as page:
        yield page


@pytest.fixture(scope="module", params=itertools.product(LABS, SCHEMES), ids="-".join)
def lab(visit, request):
    """A lab's page on a desktop, light and dark, for tests of what only labs have."""
    name, scheme = request.param
    with visit(name, DESKTOP, scheme) as page:
        page.stem = name.split("/")[1]
        yield page


def test_every_lab_is_in_the_book():
    assert [page for page in PAGES if page.startswith("labs/")] == LABS


def test_page_is_quiet_and_asks_no_other_host(desktop):
    assert desktop.errors == []
    assert desktop.foreign == []
    assert desktop.locator("article.bd-article h1").count() == 1


def test_page_says_at_its_foot_where_it_comes_from(desktop):
    foot = desktop.locator("p.cnnlab-origin")
    assert foot.count() == 1
    told = foot.inner_text()
    assert re.search(r"Built on \d{4}-\d\d-\d\d from (commit [0-9a-f]{7}|a copy without its history)\b", told)
    records = desktop.locator("details.cnnlab-origin")
    assert (records.count() == 0) == ("No recorded results on this page." in told)
    assert str(ROOT) not in told + "".join(records.all_text_contents()), "a path of the machine that built it"


def test_nothing_overflows_on_a_phone(phone):
    width = phone.evaluate("document.documentElement.scrollWidth")
    # an element may be wider than the screen only inside a box that scrolls or clips
    wide = phone.evaluate(
        """() => [...document.querySelectorAll('article.bd-article *')].filter(e => {
            if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
            if (e.closest('mjx-assistive-mml')) return false;
            for (let p = e.parentElement; p && p.tagName !== 'ARTICLE'; p = p.parentElement)
                if (getComputedStyle(p).overflowX !== 'visible') return false;
            return getComputedStyle(e).overflowX === 'visible' && getComputedStyle(e).position !== 'absolute';
        }).map(e => e.tagName + '.' + e.className).slice(0, 5)"""
    )
    assert (width, wide) == (PHONE["width"], [])


def test_figures_keep_their_proportions_on_a_phone(phone):
    bent = phone.evaluate(
        """() => [...document.querySelectorAll('article div.cell_output img')].filter(i => {
            const box = i.getBoundingClientRect(), style = getComputedStyle(i);
            const pad = ['Top', 'Right', 'Bottom', 'Left']
                .map(side => ['padding' + side, 'border' + side + 'Width'])
                .map(([padding, border]) => parseFloat(style[padding]) + parseFloat(style[border]));
            const zoom = parseFloat(style.zoom) || 1;
            const shown = (box.width - zoom * (pad[1] + pad[3])) / (box.height - zoom * (pad[0] + pad[2]));
            return Math.abs(shown / (i.naturalWidth / i.naturalHeight) - 1) > 0.03;
        }).map(i => i.alt.slice(0, 60))"""
    )
    assert bent == []


def test_a_wide_figure_scrolls_on_a_phone_rather_than_shrinking_until_its_words_cannot_be_read(phone):
    tiny = phone.evaluate(
        """() => [...document.querySelectorAll('article div.cell_output img')]
            .filter(i => i.getBoundingClientRect().width < 0.44 * parseFloat(i.style.width))
            .map(i => i.alt.slice(0, 60))"""
    )
    assert tiny == []


def test_no_table_is_left_as_text(desktop):
    left = desktop.evaluate(
        """() => [...document.querySelectorAll('article p')]
            .map(p => p.textContent.trim()).filter(t => t.startsWith('|'))"""
    )
    assert left == []


def test_every_picture_has_a_text(desktop):
    bare = desktop.evaluate(
        """() => [...document.querySelectorAll('article img')]
            .filter(i => !i.alt || i.alt.includes('_images')).map(i => i.src)"""
    )
    assert bare == []


def test_lab_page_has_badge_links_and_living_explorers(lab):
    assert "after imports" in lab.locator(".cnnlab-badge").first.inner_text()
    colab = lab.locator("a[href^='https://colab.research.google.com/github/']")
    assert colab.count() >= 2, "the theme's launch button and the link under the title"
    assert {link.get_attribute("href").split("/")[-1] for link in colab.all()} == {f"{lab.stem}.ipynb"}
    explorers = lab.locator(".cnnlab-explorer")
    assert explorers.count() >= 1
    for explorer in explorers.all():
        explorer.scroll_into_view_if_needed()
        before = explorer.evaluate(SHADOW)
        control = explorer.locator("input[type=range], input[type=number], select").first
        control.focus()
        kind, at_the_top = control.evaluate(
            """it => [it.type, it.options ? it.selectedIndex === it.options.length - 1
                : it.max !== '' && Number(it.value) >= Number(it.max)]"""
        )
        less, more = KEYS[kind]
        lab.keyboard.press(less if at_the_top else more)
        assert explorer.evaluate(SHADOW) != before, "another first value changes nothing"
    assert lab.errors == []


def test_the_foot_of_a_lab_tells_of_each_experiment_on_its_badge(lab):
    named = lab.locator(".cnnlab-badge").first.get_attribute("data-records").split()
    items = lab.locator("details.cnnlab-origin li").all()
    told = [
        item.text_content().partition(":")[0] for item in items
    ]  # folded, so not in the text that is seen
    assert all(name in told for name in named if not re.fullmatch(r"C\d+", name))


def test_status_page_names_every_lab_and_when_it_ran(visit):
    with visit("book/status") as page:
        tables = page.locator("article table")
        assert tables.count() >= 4
        rows = tables.nth(1).locator("tbody tr")
        assert rows.count() == len(LABS)
        runs = [row.locator("td").nth(1).inner_text() for row in rows.all()]
        assert all(re.match(r"\d{4}-\d\d-\d\d, \d+ s, Python 3\.", run) for run in runs), runs


def test_solutions_are_folded(lab):
    for cell in lab.locator(".cell.tag_solution").all():
        assert not cell.locator("pre").first.is_visible()


def test_explorers_and_badges_are_accessible(lab):
    parts = [[".cnnlab-explorer"], [".cnnlab-badge"], [".cnnlab-origin"]]
    found = Axe().run(lab, context={"include": parts}).response["violations"]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found] == []


def test_search_finds_a_word_of_a_lab(visit):
    with visit("search") as page:
        page.goto(page.url + "?q=Toeplitz", wait_until="networkidle")
        page.wait_for_selector("#search-results li a")
        assert any(
            "01_convolution" in link.get_attribute("href")
            for link in page.locator("#search-results li a").all()
        )


def test_the_reader_can_turn_the_light_off(visit):
    with visit(PAGES[0]) as page:
        seen = set()
        for _ in range(3):
            page.locator("button.theme-switch-button").locator("visible=true").first.click()
            seen.add(page.evaluate("document.documentElement.dataset.theme"))
        assert seen == {"light", "dark"}
