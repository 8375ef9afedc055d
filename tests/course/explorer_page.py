"""What the tests of all explorers do with a page: make it, walk through it, measure it, judge it."""

import json
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator

from utils.course.explorers.base import Explorer

browser_test = pytest.mark.browser
DESKTOP = {"width": 1280, "height": 900}
PHONES = (390, 320)  # pixels; 320 is what WCAG 2.2 asks for (reflow)
CONTROLS = (
    "button:visible, select:visible, input:not([type=radio]):visible, fieldset:has([type=radio]):visible"
)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
OF_COLORS = {"runOnly": ["color-contrast"]}
MARGIN = 8  # pixels that stay free at the right


def page_of(*explorers, html="<html lang='en'>", body="<body>"):
    """The HTML of a page with these explorers, as outputs of a notebook."""
    blocks = "".join(
        f"<div class='output text_html'>{explorer._repr_html_()}</div>" for explorer in explorers
    )
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>Explorers</title>"
    return (
        f"<!doctype html>{html}<head>{head}</head>{body}<main><h1>Explorers</h1>{blocks}</main></body></html>"
    )


def read(host, name):
    """What an explorer says of itself in a data attribute."""
    return json.loads(host.get_attribute(f"data-{name}"))


def outlines_by_tab(page):
    """Tab through the first explorer; returns (outline style of each stop, number of its controls)."""
    host = page.locator(".cnnlab-explorer").first
    expected = sum(1 for control in host.locator(CONTROLS).all() if control.is_enabled())
    outlines = []
    for _ in range(expected + 5):
        page.keyboard.press("Tab")
        outline = host.evaluate(
            """host => {
                const active = host.shadowRoot.activeElement;
                if (!active) return null;
                const shown = active.type === 'radio' ? active.nextElementSibling : active;
                return getComputedStyle(shown).outlineStyle;
            }"""
        )
        if outline is None:
            break
        outlines.append(outline)
    return outlines, expected


def overflow(page):
    """[pixels by which the page is wider than the screen, elements of explorers that reach beyond it]."""
    return page.evaluate(
        """margin => {
            const nodes = [...document.querySelectorAll('.cnnlab-explorer')]
                .flatMap((host) => [...host.shadowRoot.querySelectorAll('*')])
                .filter((node) => !node.closest('defs'));
            const beyond = nodes.filter((node) => node.getBoundingClientRect().right > innerWidth - margin);
            return [document.documentElement.scrollWidth - innerWidth, beyond.length];
        }""",
        MARGIN,
    )


def assert_accessible(page, rules=RULES):
    """No rule of WCAG 2.2 A and AA is broken, on a background that follows the color scheme."""
    page.add_style_tag(
        content="@media (prefers-color-scheme: dark) { body { background: #14181e; color: #fff; } }"
    )
    results = Axe().run(page, options=rules)
    assert results.response["passes"], "no rule applied"
    assert results.violations_count == 0, results.generate_report()


def manners(
    examples: dict[str, Callable[[], Explorer]],
    extreme: dict[str, Callable[[], Explorer]] | None = None,
    steps: Callable[[Locator, str], object] | None = None,
) -> tuple[Callable, ...]:
    """Four tests of an explorer: no addresses, its controls by keyboard, its width on a phone, accessibility.

    ``examples``: name → a function that makes an explorer. ``extreme``: more of them, which only have to fit
    a phone. ``steps``: what a reader may do with one (its element, its name), after which it must still fit.
    """
    all_of_them = examples | (extreme or {})

    @pytest.mark.parametrize("name", examples)
    def no_addresses(name):
        html = examples[name]()._repr_html_().replace("http://www.w3.org/2000/svg", "")
        assert [word for word in ("https://", "http://", "//cdn") if word in html] == []

    @browser_test
    @pytest.mark.parametrize("name", examples)
    def reached_by_tab(show, name):
        outlines, expected = outlines_by_tab(show(examples[name]()))
        assert outlines == ["solid"] * expected and expected > 0

    @browser_test
    @pytest.mark.parametrize("name", all_of_them)
    def fits_a_phone(show, name):
        page = show(all_of_them[name](), viewport={"width": PHONES[0], "height": 844})
        wider_than_the_screen = {}
        for what in ("as it opens", "after the steps"):
            if what == "after the steps" and steps is not None:
                steps(page.locator(".cnnlab-explorer"), name)
            for width in PHONES:
                page.set_viewport_size({"width": width, "height": 844})
                page.wait_for_timeout(100)  # it is drawn anew for the new width
                wider_than_the_screen[width, what] = overflow(page)
        assert {where: found for where, found in wider_than_the_screen.items() if found != [0, 0]} == {}

    @browser_test
    @pytest.mark.parametrize(
        ("scheme", "rules"), [("light", RULES), ("dark", OF_COLORS)], ids=["light", "dark"]
    )
    def accessible(show, scheme, rules):
        page = show(*(make() for make in examples.values()), scheme=scheme)
        assert page.locator(".cnnlab-explorer[data-ready]").count() == len(examples)
        assert_accessible(page, rules)

    return no_addresses, reached_by_tab, fits_a_phone, accessible
