"""The recurring parts of figures: what stands where, and what is refused."""

import pytest
from matplotlib.figure import Figure

from utils.course.plots import epoch_ticks, log_rate_axis, plot_curves, signed


@pytest.fixture
def ax():
    return Figure().subplots()


def test_epochs_are_whole_numbers():
    figure = plot_curves({"a": [0.1, 0.2, 0.3]}, [1, 2, 3], xlabel="", ylabel="")
    ax = figure.axes[0]
    ax.set_xlim(1, 3)
    assert any(tick % 1 for tick in ax.get_xticks())  # matplotlib by itself puts ticks in between
    epoch_ticks(ax)
    ax.set_xlim(1, 3)
    assert all(tick % 1 == 0 for tick in ax.get_xticks())
    assert ax.get_xlabel() == "epoch"


def test_rates_have_the_only_ticks_on_a_log_axis(ax):
    log_rate_axis(ax, [0.1, 0.001, 1e-5, 0.001])
    ax.figure.draw_without_rendering()
    assert ax.get_xscale() == "log"
    assert list(ax.get_xticks()) == [1e-5, 0.001, 0.1]
    assert list(ax.get_xticks(minor=True)) == []
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1e−5", "0.001", "0.1"]


@pytest.mark.parametrize(
    ("x", "digits", "text"),
    [(1.54, 1, "+1.5"), (-0.26, 1, "−0.3"), (0.0, 1, "0.0"), (-0.04, 1, "0.0"), (0.04, 1, "0.0")]
    + [(-0.04, 2, "−0.04"), (12, 0, "+12"), (-12.4, 0, "−12"), (-0.2, 0, "0")],
)
def test_a_number_has_its_sign(x, digits, text):
    assert signed(x, digits) == text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ax: log_rate_axis(ax, []), r"at least one, got \[\]"),
        (lambda ax: log_rate_axis(ax, [0.1, 0.0]), r"positive.*got \[0.0, 0.1\]"),
    ],
)
def test_nonsense_is_refused_with_its_value(ax, call, message):
    with pytest.raises(ValueError, match=message):
        call(ax)
