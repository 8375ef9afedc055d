"""Pictures of landscapes show the numbers they were given, and bad input is refused."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from utils.analysis.landscape import LossSurface, loss_bands
from utils.course.plots.landscape import plot_bands, plot_contours, plot_surface, window_means

BANDS = {
    "plain": loss_bands([[2.0, 1.0, 1.0], [4.0, 3.0, 2.0]]),
    "with BN": loss_bands([[2.0, 1.0, 1.0], [2.5, 1.5, 1.5], [2.0, 2.0, 2.0]]),
}
AXIS = np.linspace(-1, 1, 5)
PLANE = LossSurface(AXIS, AXIS[:4], 0.1 + AXIS[:4, None] ** 2 + 4 * AXIS**2, np.full((4, 5), 0.5), 10)
LINE = LossSurface(AXIS, None, AXIS**2, 1 - AXIS**2, 10)


def plane_of(loss):
    return LossSurface(AXIS, AXIS[: len(loss)], loss, loss, 1)


def drawn(figure):
    """Rendered once, as a notebook does."""
    figure.canvas.draw()
    assert plt.get_fignums() == []
    return figure.axes[0]


def test_bands_lie_where_they_should():
    ax = drawn(plot_bands(BANDS))
    ends = [tuple(line.get_ydata()) for line in ax.lines]
    assert ends == [(2, 1, 1), (4, 3, 2), (2, 1, 1), (2.5, 2, 2)]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["plain: 2 runs, mean width 1.67", "with BN: 3 runs, mean width 0.833"]
    assert len({patch.get_hatch() for patch in ax.collections}) == 2
    assert ax.get_xlabel() and ax.get_ylabel()


def test_windows_keep_the_mean_and_the_rest():
    assert window_means([1, 3, 5, 7, 9], 2).tolist() == [2, 6, 9]
    assert window_means([1, 3], 1).tolist() == [1, 3]
    ax = drawn(plot_bands(BANDS, window=2, log_y=True))
    assert ax.lines[1].get_ydata().tolist() == [3.5, 2.0] and ax.lines[1].get_xdata().tolist() == [0.5, 2.0]
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize("log", [True, False])
def test_contours_with_a_path(log):
    path = [[1.0, 0.5], [0.5, 0.0], [0.0, 0.0]]
    figure = plot_contours(PLANE, trajectory=path, log=log, title="plain")
    ax = drawn(figure)
    assert ax.lines[0].get_xydata().tolist() == path
    assert len(figure.axes) == 2 and "loss" in figure.axes[1].get_ylabel()
    # the lowest contour encloses the smallest loss, in the middle
    lowest = ax.collections[0].levels[0]
    assert lowest == pytest.approx(PLANE.loss.min())


def test_places_without_a_finite_loss_are_drawn_as_the_highest():
    loss = PLANE.loss.copy()
    loss[0, 0], loss[0, 1] = np.inf, np.nan
    surface = LossSurface(AXIS, AXIS[:4], loss, loss, 10)
    drawn(plot_contours(surface, limits=(0.1, 2.0)))
    drawn(plot_surface(surface, limits=(0.1, 2.0), log=False))
    flat = LossSurface(AXIS, AXIS[:4], np.ones((4, 5)), loss, 10)
    drawn(plot_contours(flat))


def test_surface_in_space():
    figure = plot_surface(PLANE, view=(20, 30))
    ax = drawn(figure)
    assert (ax.elev, ax.azim) == (20, 30) and "log" in ax.get_zlabel()
    assert ax.get_zlim() == pytest.approx(np.log10([PLANE.loss.min(), PLANE.loss.max()]))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_bands({}), "no bands"),
        (lambda: plot_bands(BANDS, window=0), "window .* got 0"),
        (lambda: plot_contours(LINE), "the surface is a line"),
        (lambda: plot_contours(PLANE, limits=(0.0, 1.0)), "positive on a log scale"),
        (lambda: plot_contours(PLANE, limits=(2.0, 1.0), log=False), "must ascend, got"),
        (lambda: plot_contours(PLANE, trajectory=[1.0, 2.0]), r"\[states, 2\], got shape \(2,\)"),
        (lambda: plot_surface(plane_of(np.ones((1, 5)))), r"2 × 2 .* \(1, 5\)"),
        (lambda: plot_contours(plane_of(np.full((4, 5), np.nan))), "not finite anywhere"),
    ],
)
def test_bad_input_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
