"""What all explorers share: one block of HTML, made of data, a style sheet and two scripts of this folder."""

from __future__ import annotations

import html
import json
import uuid
from dataclasses import dataclass
from importlib import resources
from typing import Any

from utils.course.palette import PALETTE

TEMPLATE = """\
<div id="{id}" class="cnnlab-explorer" data-explorer="{name}" data-lm-suppress-shortcuts="true">
<p style="border:1px solid #8888;border-radius:6px;padding:.6em .8em">
<strong>{title}</strong> {summary}
<em>This picture is interactive: it needs a browser with JavaScript, in Jupyter a trusted notebook.</em></p>
</div>
<script>
(() => {{
"use strict";
const PALETTE = {palette};
const STYLE = {style};
{base}
{script}
mount("{id}", {title_json}, build, {data});
}})();
</script>
"""


@dataclass(frozen=True)
class Explorer:
    """An interactive picture; show it by making it the last expression of a cell.

    name: the script ``<name>.js`` of this folder. title: stands above the picture. data: what the script is
    fed, as plain JSON values. summary: one sentence of HTML-free text that stands in where no script runs.
    """

    name: str
    title: str
    data: dict[str, Any]
    summary: str

    def _heading(self) -> str:
        """The title as a sentence."""
        return self.title if self.title.endswith("?") else f"{self.title}."

    def __repr__(self) -> str:
        shown = "shown in JupyterLab, in Colab and in the built book"
        return f"{self._heading()} {self.summary} (interactive; {shown})"

    def _repr_html_(self) -> str:
        """The whole explorer, with a new id at each call, so that it can stand on a page many times."""
        return TEMPLATE.format(
            id=f"cnnlab-{uuid.uuid4().hex[:12]}",
            name=self.name,
            title=html.escape(self._heading()),
            summary=html.escape(self.summary),
            palette=_embed(PALETTE._asdict()),
            style=_embed(_read("explorers.css")),
            base=_read("base.js"),
            script=_read(f"{self.name}.js"),
            title_json=_embed(self.title),
            data=_embed(self.data),
        )


def _read(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text(encoding="utf-8")


def _embed(value: Any) -> str:
    """``value`` as JSON without a ``<`` that could end the <script>; NaN and inf are a ``ValueError``."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c")
