"""Pictures of attributions: what is drawn is what was given, and bad input is refused."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from utils.analysis.attribution import filter_grid
from utils.course.plots import SIGNED
from utils.course.plots.attribution import plot_attributions, plot_filters, plot_overlay


def pictures(n=2, channels=3):
    return torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(0))


def drawn(figure):
    return [[image.get_array() for image in ax.get_images()] for ax in figure.axes]


@pytest.mark.parametrize(("channels", "shape"), [(3, (5, 5, 3)), (1, (5, 5))])
def test_sixteen_filters_are_a_grid_of_four_by_four(channels, shape):
    filters = filter_grid(nn.Conv2d(channels, 20, 5))
    figure = plot_filters(filters)
    assert len(figure.axes) == 16
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (4, 4)
    for ax, picture in zip(figure.axes, filters, strict=True):
        (image,) = ax.get_images()
        assert image.get_array().shape == shape
        expected = picture.numpy().transpose(1, 2, 0) if channels == 3 else picture[0].numpy()
        np.testing.assert_allclose(image.get_array(), expected)
        assert channels == 3 or image.get_clim() == (0, 1)
    assert plt.get_fignums() == []


def test_overlay_has_the_grey_image_and_the_scaled_map():
    maps = torch.tensor([[[0.0, 2.0], [4.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    figure = plot_overlay(pictures(), maps, titles=["a", "b"], strength=0.5)
    (grey, heat), (_, empty) = drawn(figure)
    np.testing.assert_allclose(grey, pictures()[0].mean(dim=0).numpy())
    np.testing.assert_allclose(heat, [[0, 0.5], [1, 0.25]])
    np.testing.assert_allclose(figure.axes[0].get_images()[1].get_alpha(), [[0, 0.25], [0.5, 0.125]])
    assert not empty.any() and not figure.axes[1].get_images()[1].get_alpha().any()
    extents = {tuple(image.get_extent()) for image in figure.axes[0].get_images()}
    assert extents == {(-0.5, 7.5, 7.5, -0.5)}
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]


def test_methods_side_by_side():
    signed = torch.zeros(2, 3, 8, 8)
    signed[:, 0, 0, 0], signed[:, 1, 0, 0], signed[1, 2, 7, 7] = 1.0, -2.0, 8.0
    positive = torch.ones(2, 4, 4)
    figure = plot_attributions(
        pictures(), {"gradient": signed, "Grad-CAM": positive}, labels=["cat", "dog"], percentile=100
    )
    assert [ax.get_title() for ax in figure.axes[:3]] == ["image", "gradient", "Grad-CAM"]
    first, second = figure.axes[1].get_images()[0], figure.axes[4].get_images()[0]
    # of the channels the value of largest magnitude, with its sign
    assert first.get_array()[0, 0] == -2 and first.get_clim() == (-2, 2) and first.get_cmap() is SIGNED
    assert second.get_clim() == (-8, 8)
    assert figure.axes[2].get_images()[0].get_clim() == (0, 1)
    assert [figure.axes[i].texts[0].get_text() for i in (0, 3)] == ["cat", "dog"]
    assert plt.get_fignums() == []


def test_a_map_without_any_value_can_be_shown():
    figure = plot_attributions((pictures(1, 1) * 255).byte(), {"nothing": torch.zeros(1, 8, 8)})
    assert figure.axes[1].get_images()[0].get_clim() == (0, 1)
    assert figure.axes[0].get_images()[0].get_clim() == (0, 255)


def test_bad_input_is_refused():
    maps = torch.rand(2, 4, 4)
    for call, message in [
        (lambda: plot_overlay(pictures(), maps[:1]), r"\[2, h, w\].*got shape \(1, 4, 4\)"),
        (lambda: plot_overlay(pictures(), -maps), "no negative values, got -"),
        (lambda: plot_overlay(pictures(), maps, strength=0), "strength .* got 0"),
        (lambda: plot_overlay(pictures(), maps, titles=["a"]), "1 titles for 2 images"),
        (lambda: plot_overlay(pictures() - 1, maps), "are they normalised"),
        (lambda: plot_overlay(pictures()[0], maps), r"got shape \(3, 8, 8\)"),
        (lambda: plot_attributions(pictures(), {}), "no maps"),
        (lambda: plot_attributions(pictures(), {"m": maps}, labels=["a"]), "1 labels for 2 images"),
        (lambda: plot_attributions(pictures(), {"m": maps[0]}), "maps of 'm' must be"),
        (lambda: plot_attributions(pictures(), {"m": maps}, percentile=0), "percentile .* got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
