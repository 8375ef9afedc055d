"""Mean ± standard deviation (n), in words."""

import numpy as np
import pytest

from utils.experiments import MeanSd, percent, spread

NO_BREAK = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (spread([1.0, 2.0, 3.0]), "2.00 ± 1.00 (n = 3)"),
        (spread([-0.5]), "−0.50 (n = 1)"),
        (spread(np.array([0.01, 0.03], dtype=np.float32), 1, " points", 100), "2.0 ± 1.4 points (n = 2)"),
        (percent(value for value in (0.5, 0.52)), "51.0 ± 1.4 % (n = 2)"),
        (percent([0.904], 0), "90 % (n = 1)"),
        (MeanSd.of([0.904, 0.904]).percent(), "90.4 ± 0.0 % (n = 2)"),
    ],
)
def test_mean_spread_and_number(said, expected):
    assert said.replace(NO_BREAK, " ") == expected
    assert said.count(" ") == 1, "a line may end before the bracket only"


def test_no_values_have_no_mean():
    with pytest.raises(ValueError, match="no values"):
        spread([])
