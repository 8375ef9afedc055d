"""Whether a network has learned anything: an accuracy beside that of guessing."""

from __future__ import annotations

import math
from collections.abc import Sequence

STANDARD_ERRORS = 3  # chance alone is so far above guessing once in 700 times


def beats_guessing(shares: Sequence[float], judged: int, classes: int = 10) -> bool:
    """Whether runs with these shares of right answers have learned more than to guess.

    That is: whether their mean lies more than three standard errors above ``1 / classes``, that of a network
    which guesses on ``judged`` images. The runs count as one, for they are judged on the same images. What a
    network that has not learned looks at, loses or keeps is no finding. ``ValueError`` for no share or one
    outside 0 to 1, no image, or fewer than two classes.
    """
    if not len(shares) or any(not 0 <= share <= 1 for share in shares):
        raise ValueError(f"shares must be numbers from 0 to 1, at least one, got {list(shares)}")
    if judged < 1:
        raise ValueError(f"judged must be a number of images, at least 1, got {judged}")
    if classes < 2:
        raise ValueError(f"guessing needs at least 2 classes, got {classes}")
    guess = 1 / classes
    return sum(shares) / len(shares) > guess + STANDARD_ERRORS * math.sqrt(guess * (1 - guess) / judged)
