"""The three profiles and, in one place, every size that changes between them.

``CNNLAB_PROFILE`` = ``smoke`` | ``quick`` | ``full``. The same cells run in each; a lab reads its sizes as ``lab.sizes``.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

PROFILES = ("smoke", "quick", "full")
DEFAULT_PROFILE = "quick"

# lab -> name of the size -> its value in (smoke, quick, full)
SIZES: dict[str, dict[str, tuple]] = {
    "01_convolution_toeplitz": {},
    "02_lenet": {},
}


def current_profile() -> str:
    """The profile named by ``CNNLAB_PROFILE`` (default ``quick``); ``ValueError`` on an unknown one."""
    profile = os.environ.get("CNNLAB_PROFILE", "").strip().lower() or DEFAULT_PROFILE
    if profile not in PROFILES:
        raise ValueError(f"CNNLAB_PROFILE is {profile!r}; choose one of {', '.join(PROFILES)}")
    return profile


def sizes(lab: str, profile: str) -> SimpleNamespace:
    """The sizes of one lab in one profile; ``ValueError`` on a lab that has no entry."""
    if lab not in SIZES:
        raise ValueError(f"no sizes for lab {lab!r} in utils/course/profiles.py; there are {', '.join(SIZES)}")
    column = PROFILES.index(profile)
    return SimpleNamespace(**{name: values[column] for name, values in SIZES[lab].items()})
