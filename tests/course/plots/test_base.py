"""The book's figures: what is drawn is what was given, and bad input is refused with the offending value."""

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from utils.course import plots
from utils.course.plots import PALETTE, SIGNED, plot_curves, plot_history, show_images, show_matrix, use_style


@pytest.fixture(autouse=True)
def restore_style():
    """A test may not leave its style, or an open figure, to the next one."""
    with plt.rc_context():
        yield
    assert plt.get_fignums() == [], (
        "an open figure would be drawn a second time at the end of a notebook's cell"
    )


def pictures(figure):
    return [ax.images[0] for ax in figure.axes if ax.images]


def history(n, offset=0.0):
    return SimpleNamespace(
        train_loss=[1.0 / (e + 1) + offset for e in range(n)],
        valid_loss=[1.5 / (e + 1) + offset for e in range(n)],
        train_accuracy=[1 - 0.5 / (e + 1) for e in range(n)],
        valid_accuracy=[],
    )


def test_palette_is_that_of_okabe_and_ito():
    assert len(set(PALETTE)) == 8
    assert (PALETTE.blue, PALETTE.vermillion, PALETTE[1]) == ("#0072B2", "#D55E00", "#E69F00")


def test_style_leaves_out_yellow_and_can_be_read():
    use_style()
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    assert PALETTE.yellow not in cycle and len(cycle) == len(set(cycle))
    assert (
        min(
            matplotlib.rcParams[key]
            for key in ("font.size", "axes.labelsize", "xtick.labelsize", "legend.fontsize")
        )
        >= 10
    )
    assert matplotlib.rcParams["savefig.facecolor"] == "white", (
        "a transparent figure cannot be read on a dark page"
    )


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 1, 5, 4), (6, 3, 5, 4)])
def test_images_of_every_layout(shape):
    images = torch.rand(shape)
    figure = show_images(images, titles=range(6), columns=4)
    assert isinstance(figure, Figure)
    shown = pictures(figure)
    assert len(shown) == 6 and [ax.get_title() for ax in figure.axes[:6]] == list("012345")
    expected = images[2].permute(1, 2, 0) if shape[1] == 3 and images.ndim == 4 else images[2].reshape(5, 4)
    np.testing.assert_allclose(shown[2].get_array(), expected, rtol=1e-6)


def test_one_picture_and_pictures_of_different_sizes():
    assert len(pictures(show_images(np.zeros((4, 4))))) == 1
    assert len(pictures(show_images([np.zeros((4, 4)), np.zeros((3, 6, 6)), torch.zeros(1, 2, 2)]))) == 3


def test_ranges():
    assert pictures(show_images(np.full((1, 2, 2), 9, np.uint8)))[0].get_clim() == (0, 255)
    assert pictures(show_images(np.full((1, 2, 2), 0.5)))[0].get_clim() == (0, 1)
    assert pictures(show_images(np.full((1, 2, 2), 7.0)))[0].get_clim() == (0, 7)
    signed = pictures(show_images(np.array([[[-3.0, 1.0]], [[0.0, 2.0]]])))
    assert [image.get_clim() for image in signed[:2]] == [(-3, 3)] * 2
    assert signed[0].get_cmap() is SIGNED
    assert pictures(show_images(np.array([[[-3.0, 1.0]]]), value_range="auto"))[0].get_clim() == (-3, 1)


def test_zero_is_white_in_the_signed_map_and_the_ends_are_of_the_palette():
    assert np.allclose(SIGNED(0.5)[:3], 1, atol=0.01)
    assert colors.to_hex(SIGNED(0.0)).upper() == PALETTE.blue
    assert colors.to_hex(SIGNED(1.0)).upper() == PALETTE.vermillion


@pytest.mark.parametrize(
    ("images", "options", "word"),
    [
        (np.zeros((2, 4, 5, 5)), {}, r"\(4, 5, 5\)"),
        (np.zeros((2, 2, 3, 5, 5)), {}, r"\(2, 2, 3, 5, 5\)"),
        (np.zeros((2, 5, 5)), {"titles": ["one"]}, "1 titles for 2"),
        (np.full((1, 3, 2, 2), -2.0), {}, "normalized"),
        (np.zeros((1, 2, 2)), {"value_range": (1, 1)}, r"\(1, 1\)"),
        (np.zeros((1, 2, 2)), {"value_range": "best"}, "'best'"),
        (np.zeros((1, 2, 2)), {"columns": -1}, "-1"),
        ([], {}, "no images"),
    ],
)
def test_images_refused(images, options, word):
    with pytest.raises(ValueError, match=word):
        show_images(images, **options)


def test_small_matrix_shows_its_values_but_not_its_zeros():
    figure = show_matrix([[1, 0], [-0.5, 0.25]], row_labels=["y0", "y1"], xlabel="input")
    ax = figure.axes[0]
    assert {text.get_text() for text in ax.texts} == {"1", "\N{MINUS SIGN}0.5", "0.25"}
    assert ax.images[0].get_clim() == (-1, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("input", "row")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["y0", "y1"]
    assert len(figure.axes) == 1


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_large_sparse_matrix_has_block_lines_and_a_color_bar():
    figure = show_matrix(torch.eye(20).to_sparse_csr(), blocks=(5, 10))
    ax = figure.axes[0]
    assert not ax.texts and len(figure.axes) == 2
    assert sorted(
        float(line.get_ydata()[0]) for line in ax.lines if line.get_ydata()[0] == line.get_ydata()[1]
    ) == [4.5, 9.5, 14.5]
    np.testing.assert_array_equal(ax.images[0].get_array(), np.eye(20))


def test_matrix_is_drawn_into_a_given_axes():
    _, ax = plt.subplots()
    assert show_matrix(np.eye(3), ax) is ax
    plt.close()


@pytest.mark.parametrize(
    ("matrix", "options", "word"),
    [
        (np.zeros(3), {}, r"\(3,\)"),
        (np.zeros((0, 3)), {}, r"\(0, 3\)"),
        (np.eye(4), {"blocks": (3, 2)}, "3×2"),
        (np.eye(4), {"row_labels": "abc"}, "3 row_labels"),
    ],
)
def test_matrix_refused(matrix, options, word):
    with pytest.raises(ValueError, match=word):
        show_matrix(matrix, **options)


def test_curves_show_the_mean_and_one_standard_deviation():
    runs = np.array([[1.0, 2.0], [3.0, 6.0]])
    figure = plot_curves(
        {"two runs": runs, "one": [5, 6]}, x=[10, 20], xlabel="step", ylabel="loss", log_y=True
    )
    ax = figure.axes[0]
    assert ax.lines[0].get_ydata().tolist() == [2, 4] and ax.lines[0].get_xdata().tolist() == [10, 20]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(4 + np.sqrt(8)) and band[:, 1].min() == pytest.approx(
        2 - np.sqrt(2)
    )
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle(), "color alone does not tell lines apart"
    assert ax.get_yscale() == "log" and ax.get_legend() is not None


def test_curves_refused():
    with pytest.raises(ValueError, match="no curves"):
        plot_curves({}, xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match="'a' has 3 points, x has 2"):
        plot_curves({"a": [1, 2, 3]}, x=[1, 2], xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match=r"\(1, 1, 1\)"):
        plot_curves({"a": np.zeros((1, 1, 1))}, xlabel="x", ylabel="y")


def test_history_counts_epochs_from_one_and_leaves_out_what_was_not_recorded():
    figure = plot_history(history(4))
    loss, accuracy = figure.axes
    assert [line.get_xdata()[0] for line in loss.lines] == [1, 1] and len(accuracy.lines) == 1
    assert [ax.get_xlabel() for ax in figure.axes] == ["epoch", "epoch"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation"]


def test_history_averages_over_seeds_to_the_shortest_run():
    figure = plot_history({"net": [history(4), history(3, offset=0.2)]}, metrics=["loss"])
    train = figure.axes[0].lines[0]
    np.testing.assert_allclose(train.get_ydata(), [1.1, 0.6, 1 / 3 + 0.1])
    assert len(figure.axes[0].collections) == 2


def test_history_without_values_is_refused():
    with pytest.raises(ValueError, match="no values of accuracy"):
        plot_history(SimpleNamespace(train_accuracy=[], valid_accuracy=[]), metrics=["accuracy"])
    with pytest.raises(ValueError, match="no histories"):
        plot_history({})


def test_everything_announced_is_there():
    assert all(hasattr(plots, name) for name in plots.__all__)
