"""The page on which explorers are tested."""

import pytest

from tests.course.explorer_page import DESKTOP, page_of


@pytest.fixture
def show(browser):
    """A function that puts explorers on a page, which may neither report errors nor load anything."""
    pages = []

    def open_page(*explorers, viewport=DESKTOP, scheme="light", motion="no-preference", **page_options):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion=motion)
        page = context.new_page()
        page.notes = []
        page.on("console", lambda message: page.notes.append(message.text))
        page.on("pageerror", lambda error: page.notes.append(str(error)))
        page.on("request", lambda request: page.notes.append(request.url))
        page.set_content(page_of(*explorers, **page_options))
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        assert page.notes == []
        page.context.close()
