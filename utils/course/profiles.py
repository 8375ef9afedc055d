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
    "01_convolution_toeplitz": {
        "sides": ((8, 16, 32), (8, 16, 32, 64, 128), (8, 16, 32, 64, 128, 256)),  # pictures whose layer is timed
        "dense_up_to": (32, 32, 64),  # largest side for the dense matrix: at 64 it takes 1 GB
        "kernel_side": (64, 128, 128),  # picture for the timing over the kernel size
        "kernels": ((3, 7, 15), (3, 5, 7, 11, 15, 21, 31), (3, 5, 7, 11, 15, 21, 31, 41)),
        "repeats": (5, 15, 51),  # timings behind each median
    },
    "02_lenet": {
        "digits_images": (1200, 1200, 1200),  # training pictures; the embedded digits have 1,437 with validation
        "digits_epochs": (4, 20, 60),
        "garments_images": (1600, 8000, 55000),
        "garments_epochs": (4, 5, 20),
        "colour_images": (2000, 10000, 45000),
        "colour_epochs": (4, 5, 20),
        "rates": ((3e-3,), (1e-3, 3e-3), (1e-3, 3e-3)),  # learning rates that each network may choose from
        "seeds": (2, 3, 5),
        "valid_images": (500, 2000, 5000),
        "shift_images": (160, 500, 5000),  # validation pictures; each is judged at 36 places
        "test_images": (500, 10000, 10000),
    },
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
