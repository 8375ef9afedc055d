"""Sphinx extension: at the foot of every page the commit, the day, and the records that the page shows.

What a page shows is found when it is read, and kept with the page. The commit and the day are looked up at
each build: where they have changed, all pages are written anew, and none is executed again.
"""

from __future__ import annotations

import sys
from dataclasses import astuple
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # Sphinx may have been started from anywhere

from utils.publishing import origin  # noqa: E402
from utils.publishing.stamp import configured  # noqa: E402

KEPT = "shown_records"  # in the metadata of a page


def note(app, doctree) -> None:
    """Keep with the page which records it shows."""
    name = app.env.docname
    text = Path(app.env.doc2path(name)).read_text(encoding="utf-8")
    outputs = [raw.astext() for raw in doctree.findall(nodes.raw) if "html" in raw.get("format", "")]
    found = origin.claims_and_experiments(origin.sources(text, outputs), ROOT)
    own = [name] if name.startswith(f"{origin.OF_LABS}/") else []  # what the lab has measured itself
    app.env.metadata[name][KEPT] = [*dict.fromkeys([*own, *found])]


def show(app, pagename, templatename, context, doctree) -> None:
    """Put the foot into the place that the theme has for it."""
    names = app.env.metadata.get(pagename, {}).get(KEPT, [])
    shown = [records for name in names if (records := origin.records_of(name, ROOT))]
    context["theme_extra_footer"] = origin.foot(
        origin.Built(*app.config.built_from), shown, configured(ROOT).url
    )


def setup(app) -> dict[str, bool]:
    """Called by Sphinx; a change of what the book is built from makes it write all pages."""
    app.add_config_value("built_from", list(astuple(origin.built(ROOT))), "html")
    app.connect("doctree-read", note)
    app.connect("html-page-context", show)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
