"""The three profiles: ``CNNLAB_PROFILE`` = ``smoke`` | ``quick`` | ``full``.

The same cells run in each. What changes are the sizes that a lab hands to ``start_lab``; it reads them as
``lab.sizes``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

PROFILES = ("smoke", "quick", "full")
DEFAULT_PROFILE = "quick"


def current_profile() -> str:
    """The profile named by ``CNNLAB_PROFILE`` (default ``quick``); ``ValueError`` on an unknown one."""
    profile = os.environ.get("CNNLAB_PROFILE", "").strip().lower() or DEFAULT_PROFILE
    if profile not in PROFILES:
        raise ValueError(f"CNNLAB_PROFILE is {profile!r}; choose one of {', '.join(PROFILES)}")
    return profile


def sizes(profile: str, table: Mapping[str, Sequence]) -> SimpleNamespace:
    """The sizes of a lab in one profile, from a table: name → its values in (smoke, quick, full).

    ``ValueError`` on a size that has not one value for each profile.
    """
    for name, values in table.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(PROFILES):
            raise ValueError(f"{name} needs a value for each of {', '.join(PROFILES)}, got {values!r}")
    column = PROFILES.index(profile)
    return SimpleNamespace(**{name: values[column] for name, values in table.items()})
