"""Sphinx extension: leaves the scripts of sphinx-thebe out of the pages.

Jupyter Book loads sphinx-thebe whether or not a book uses it. Its start-up script stands twice on each
page, which is a console error, and it names a host that a page without live code has no business with.
"""

from __future__ import annotations


def drop_thebe(app, pagename, templatename, context, doctree) -> None:
    """Keep the page's scripts but for those of sphinx-thebe."""
    context["script_files"] = [script for script in context.get("script_files", []) if not _is_thebe(script)]


def _is_thebe(script) -> bool:
    body = getattr(script, "attributes", {}).get("body") or ""
    return "thebe" in (getattr(script, "filename", None) or "") or "thebe" in body.lower()


def setup(app) -> dict[str, bool]:
    """Called by Sphinx; runs after the extensions that add scripts to a page."""
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
