"""The badge at the top of a lab's page, which says what the page was run with, and the banner of a fallback.

One display is shown at the start and updated in place, so the top of the page tells the whole truth once the
last cell has run.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from IPython.display import HTML, DisplayHandle, display

STYLE = (
    "border:1px solid #8888;border-left:4px solid {bar};border-radius:4px;padding:.5em .8em;margin:.3em 0;"
    "font-size:.9em;line-height:1.5;background:{background};color:{text}"
)
QUIET = {"bar": "#0072B2", "background": "#f4f8fb", "text": "#1b1b1b"}
LOUD = {"bar": "#D55E00", "background": "#fdf1e7", "text": "#1b1b1b"}


@dataclass
class Badge:
    """What this page was run with. Every change redraws the one display that ``show`` made."""

    profile: str
    device: str
    versions: str
    datasets: list[str] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    recordings: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    measurements: dict[str, tuple[str, str]] = field(default_factory=dict)
    seconds: float | None = None
    ended: str = ""
    handle: DisplayHandle | None = None

    def show(self) -> None:
        """Display the badge; later changes update it where it stands."""
        self.handle = display(HTML(self.html()), display_id=True)

    def data(self, title: str) -> None:
        """Add a data set that the page really used."""
        if title not in self.datasets:
            self.datasets.append(title)
        self._redraw()

    def recorded(self, description: str, experiment: str) -> None:
        """Add runs of an experiment that were not made on this page but recorded before."""
        if description not in self.recordings:
            self.recordings.append(description)
        self.rests_on(experiment)

    def rests_on(self, *sources: str) -> None:
        """Note experiments or claims whose records the page shows, for the foot of the built page."""
        self.sources += [name for name in dict.fromkeys(sources) if name not in self.sources]
        self._redraw()

    def measured(self, name: str, how: str, origin: str = "") -> None:
        """Say ``how`` the numbers of a measured function came about, such as "live" or "recorded"."""
        self.measurements[name.replace("_", " ")] = (how, origin)
        self._redraw()

    def fallback(self, wanted: str, used: str, reason: str) -> None:
        """Note that ``used`` stands in for ``wanted``, and show a banner with the reason and the remedies."""
        self.fallbacks.append(f"{used} instead of {wanted}")
        self._redraw()
        self.banner(
            "Not the real data.",
            f"{html.escape(wanted)} was not found, so this page runs on <strong>{html.escape(used)}"
            "</strong>. What is computed below holds for that data; what is recorded names its own."
            "<details><summary>Why, and how to get it</summary>"
            f"<pre style='white-space:pre-wrap'>{html.escape(reason)}</pre></details>",
        )

    def banner(self, title: str, text: str) -> None:
        """Show a loud note where the page stands; ``text`` is HTML."""
        style = STYLE.format(**LOUD)
        shown = f"<strong>{html.escape(title)}</strong> {text}"
        display(HTML(f'<div role="note" class="cnnlab-banner" style="{style}">{shown}</div>'))

    def finish(self, seconds: float, ended: str = "") -> None:
        """Add the running time and, where it is told, the day on which the page had run to its end."""
        self.seconds, self.ended = seconds, ended
        self._redraw()

    def html(self) -> str:
        """The badge as one HTML block."""
        data = ", ".join(self.datasets) or "none loaded"
        if self.fallbacks:
            data += f" ({'; '.join(self.fallbacks)})"
        took = "still running" if self.seconds is None else f"{self.seconds:.0f} s after imports"
        took += f", on {self.ended}" if self.ended else ""
        rows = {
            "Data": data,
            "Profile": self.profile,
            "Device": self.device,
            "Versions": self.versions,
            "Executed live in": took,
        }
        if self.recordings:
            rows["Recorded runs"] = "; ".join(self.recordings)
        if self.measurements:
            rows["Measured"] = self._measured()
        cells = " · ".join(f"<strong>{key}:</strong> {html.escape(value)}" for key, value in rows.items())
        told = ", ".join([data, f"profile {self.profile}", took, *self._beside()])
        summary = f"<summary>Run with {html.escape(told)}</summary>"
        style = STYLE.format(**(LOUD if self.fallbacks else QUIET))
        sources = html.escape(" ".join(self.sources))
        return (
            f'<div role="note" class="cnnlab-badge" data-records="{sources}" style="{style}">'
            f"<details>{summary}{cells}</details></div>"
        )

    def _beside(self) -> list[str]:
        """What the one line of the folded badge says of figures that were not made on this page."""
        shown = {how for how, _ in self.measurements.values()}
        return ["recorded results"] if self.recordings or "recorded" in shown else []

    def _measured(self) -> str:
        """``live: a; recorded: b, c (2026-11-29, CIFAR-10, AMD EPYC)``."""
        names: dict[tuple[str, str], list[str]] = {}
        for name, kind in self.measurements.items():
            names.setdefault(kind, []).append(name)
        return "; ".join(
            f"{how}: {', '.join(those)}" + (f" ({origin})" if origin else "")
            for (how, origin), those in sorted(names.items())
        )

    def _redraw(self) -> None:
        if self.handle is not None:
            self.handle.update(HTML(self.html()))
