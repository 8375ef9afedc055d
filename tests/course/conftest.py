"""The page on which explorers are tested."""

import pytest

from tests.course.explorer_page import DESKTOP, page_of


def listening(context):
    """A new page whose messages, errors and requests are noted."""
    page = context.new_page()
    page.notes = []
    page.on("console", lambda message: page.notes.append(message.text))
    page.on("pageerror", lambda error: page.notes.append(str(error)))
    page.on("request", lambda request: page.notes.append(request.url))
    return page


@pytest.fixture(scope="session")
def used_page(browser):
    """One page for all tests of a worker: making one takes longer than most of them."""
    context = browser.new_context()
    yield listening(context)
    context.close()


@pytest.fixture
def show(browser, used_page):
    """A function that puts explorers on a page, in place of what was there.

    The page may neither report errors nor load anything. ``alone``: on a page of its own, for a test that
    changes what a new document does not change back, such as the clock.
    """
    pages = [used_page]
    used_page.notes.clear()

    def open_page(
        *explorers, viewport=DESKTOP, scheme="light", motion="no-preference", alone=False, **page_options
    ):
        if alone:
            pages.append(listening(browser.new_context()))
        page = pages[-1] if alone else used_page
        page.goto("about:blank")
        page.bring_to_front()  # the keyboard goes there
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme, reduced_motion=motion)
        page.set_content(page_of(*explorers, **page_options))
        return page

    yield open_page
    for page in pages:
        assert page.notes == []
    for page in pages[1:]:
        page.context.close()
