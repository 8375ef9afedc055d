"""What the tests of all explorers do with a page: make it, walk through it by keyboard, measure it, judge it."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

browser_test = pytest.mark.browser
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
CONTROLS = "button:visible, select:visible, input:not([type=radio]):visible, fieldset:has([type=radio]):visible"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
MARGIN = 8  # pixels that stay free at the right


def page_of(*explorers, html="<html lang='en'>", body="<body>"):
    """The HTML of a page with these explorers, as outputs of a notebook."""
    blocks = "".join(f"<div class='output text_html'>{explorer._repr_html_()}</div>" for explorer in explorers)
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>Explorers</title>"
    return f"<!doctype html>{html}<head>{head}</head>{body}<main><h1>Explorers</h1>{blocks}</main></body></html>"


def read(host, name):
    """What an explorer says of itself in a data attribute."""
    return json.loads(host.get_attribute(f"data-{name}"))


def outlines_by_tab(page):
    """Press the tab key through the first explorer; returns (outline style of each stop, number of its controls)."""
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
                .flatMap((host) => [...host.shadowRoot.querySelectorAll('*')]).filter((node) => !node.closest('defs'));
            const beyond = nodes.filter((node) => node.getBoundingClientRect().right > innerWidth - margin);
            return [document.documentElement.scrollWidth - innerWidth, beyond.length];
        }""",
        MARGIN,
    )


def assert_accessible(page):
    """No rule of WCAG 2.2 A and AA is broken, on a background that follows the colour scheme."""
    page.add_style_tag(content="@media (prefers-color-scheme: dark) { body { background: #14181e; color: #fff; } }")
    results = Axe().run(page, options=RULES)
    assert results.violations_count == 0, results.generate_report()
