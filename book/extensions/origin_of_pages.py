"""Sphinx extension: at the foot of every page the commit, the day, and the records that the page shows.

What a page shows is found when it is read, and kept with the page. The commit and the day are put into all
pages at the end of each build, so that a commit makes no page be written, let alone executed, again.
"""

from __future__ import annotations

import sys
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
    context["theme_extra_footer"] = origin.foot(origin.built(ROOT), shown, configured(ROOT).url)


def stamp(app, exception) -> None:
    """Bring the commit and the day up to date on those pages too that were not written in this build."""
    if exception is None and app.builder.format == "html":
        origin.stamp_pages(Path(app.outdir), origin.built(ROOT), configured(ROOT).url)


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-read", note)
    app.connect("html-page-context", show)
    app.connect("build-finished", stamp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
