"""The recurring parts of figures: what stands where, and what is refused."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from utils.course.palette import PALETTE
from utils.course.plots import chance_line, dots_of_runs, epoch_ticks, log_rate_axis, plot_curves, signed


@pytest.fixture
def ax():
    return Figure().subplots()


def test_each_run_is_a_dot_and_their_mean_a_bar(ax):
    dots_of_runs(ax, {"plain": [1.0, 2.0, 6.0], "bn": np.array([5.0])}, legend="test")
    first, second = ax.lines
    assert first.get_xydata().tolist() == [[0, 1], [0, 2], [0, 6]]
    assert second.get_xydata().tolist() == [[1, 5]]
    bars = [bar.get_segments()[0].tolist() for bar in ax.collections]
    assert bars == [[[-0.25, 3], [0.25, 3]], [[0.75, 5], [1.25, 5]]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["plain", "bn"]
    assert ax.get_legend_handles_labels()[1] == ["test"]  # once, for all columns


def test_columns_of_two_groups_stand_side_by_side(ax):
    dots_of_runs(ax, {"a": [1.0]}, shift=-0.2)
    dots_of_runs(ax, {"a": [2.0]}, shift=0.2, marker="X", color=PALETTE.green)
    one, two = ax.lines
    assert one.get_xdata()[0] == -0.2
    assert two.get_xdata()[0] == 0.2
    assert (two.get_marker(), two.get_color()) == ("X", PALETTE.green)


def test_a_label_without_runs_keeps_its_place(ax):
    dots_of_runs(ax, {"missing": [], "there": [4.0]})
    (only,) = ax.lines
    assert only.get_xydata().tolist() == [[1, 4]]
    assert list(ax.get_xticks()) == [0, 1]


@pytest.mark.parametrize(
    ("classes", "percent", "height"), [(10, True, 10.0), (100, True, 1.0), (4, False, 0.25)]
)
def test_chance_is_one_of_the_classes(ax, classes, percent, height):
    chance_line(ax, classes, percent=percent)
    (line,) = ax.lines
    assert set(line.get_ydata()) == {height}
    assert line.get_label() == "chance"


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
        (lambda ax: dots_of_runs(ax, {}), "no labels"),
        (lambda ax: dots_of_runs(ax, {"a": [1]}, shift=0.6), "got 0.6"),
        (lambda ax: chance_line(ax, 1), "at least 2 classes, got 1"),
        (lambda ax: chance_line(ax, 2.5), "got 2.5"),
        (lambda ax: log_rate_axis(ax, []), r"at least one, got \[\]"),
        (lambda ax: log_rate_axis(ax, [0.1, 0.0]), r"positive.*got \[0.0, 0.1\]"),
    ],
)
def test_nonsense_is_refused_with_its_value(ax, call, message):
    with pytest.raises(ValueError, match=message):
        call(ax)
