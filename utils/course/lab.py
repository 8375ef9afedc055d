"""The frame around a lab: profile, sizes, device, data with an honest fallback, and the badge.

Nothing heavy is imported before ``start_lab`` is called, so that the package can be imported on a host that
still lacks torch.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

from utils.course.badge import Badge
from utils.course.profiles import current_profile, sizes

if TYPE_CHECKING:
    import torch

    from utils.course.measured import Measured
    from utils.data import Dataset
    from utils.experiments import Results

FALLBACKS = ("digits", "shapes")


@dataclass
class Lab:
    """One run of one lab. ``sizes`` holds what the profile changes; ``device`` is where tensors live.

    ``loaded`` lists the data that were used so far, with their digests.
    """

    name: str
    profile: str
    sizes: SimpleNamespace
    device: torch.device
    badge: Badge
    started: float = field(default_factory=time.perf_counter)
    loaded: list[dict] = field(default_factory=list)

    def dataset(self, name: str, fallback: str = "shapes", **options) -> Dataset:
        """``load_dataset(name, **options)``, or the embedded ``fallback``, with a banner, if missing.

        In the smoke profile nothing is downloaded. The badge names what was really used. A corrupt file is
        not a missing one: it raises.
        """
        from utils.data import DatasetNotFound, load_dataset

        if fallback not in FALLBACKS:
            raise ValueError(f"fallback must be embedded data ({' or '.join(FALLBACKS)}), got {fallback!r}")
        missing = {}
        try:
            dataset = load_dataset(name, download=self.profile != "smoke", **options)
        except DatasetNotFound as error:
            dataset = load_dataset(fallback)
            missing = {"instead_of": name}
            self.badge.fallback(name, dataset.provenance.title, reason=str(error))
        self.badge.data(dataset.provenance.title)
        used = {"title": dataset.provenance.title, "sha256": dataset.provenance.sha256, **missing}
        if used not in self.loaded:
            self.loaded.append(used)
        return dataset

    def measured(self, function: Callable) -> Measured:
        """Decorate a function of its sizes that measures and returns plain numbers: a record is kept of it.

        A call returns the result or, in the smoke profile, the record. ``function.runs`` lists what there is
        to draw: this run and, beside it, the recorded one.
        """
        from utils.course.measured import Measured

        return Measured(function, self)

    def recorded(self, experiment: str) -> Results:
        """The recorded runs of an experiment, of its largest profile, each checked on reading.

        The badge says that the page shows them.
        """
        from utils.experiments import results

        found = results(experiment)
        self.badge.recorded(found.describe(), experiment)
        return found

    def trained(self, experiment: str, label: str) -> torch.nn.Module:
        """A network with the kept weights of a recorded run, in evaluation mode; the badge says which."""
        from utils.experiments import trained

        found = trained(experiment, label)
        self.badge.recorded(found.describe(), experiment)
        return found.model.to(self.device)

    def finish(self) -> None:
        """Complete the badge at the top of the page with the running time."""
        ended = time.strftime("%Y-%m-%d", time.gmtime())
        self.badge.finish(time.perf_counter() - self.started, ended)


def start_lab(name: str, **table: Sequence) -> Lab:
    """Begin the lab ``name``: read the profile, choose the device, set the figure style and show the badge.

    ``table``: name of a size → its values in (smoke, quick, full); ``lab.sizes`` has that of the profile.
    """
    import torch

    from utils.course.plots import use_style
    from utils.training.devices import best_device

    profile = current_profile()
    lab_sizes = sizes(profile, table)
    device = best_device()
    use_style()
    badge = Badge(
        profile=profile,
        device=_describe(device),
        versions=f"Python {sys.version.split()[0]}, torch {torch.__version__}",
    )
    badge.show()
    return Lab(name=name, profile=profile, sizes=lab_sizes, device=device, badge=badge)


def _describe(device: torch.device) -> str:
    from utils.training.devices import device_name

    return f"CPU, {os.cpu_count()} cores" if device.type == "cpu" else device_name(device)
