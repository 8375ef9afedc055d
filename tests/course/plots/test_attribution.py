"""Pictures of attributions: what is drawn is what was given, and bad input is refused."""

import pytest
import torch
from matplotlib import pyplot as plt

from utils.course.plots import SIGNED
from utils.course.plots.attribution import plot_attributions


def pictures(n=2, channels=3):
    return torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(0))


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
        (lambda: plot_attributions(pictures() - 1, {"m": maps}), "are they normalized"),
        (lambda: plot_attributions(pictures()[0], {"m": maps}), r"got shape \(3, 8, 8\)"),
        (lambda: plot_attributions(pictures(), {}), "no maps"),
        (lambda: plot_attributions(pictures(), {"m": maps}, labels=["a"]), "1 labels for 2 images"),
        (lambda: plot_attributions(pictures(), {"m": maps[0]}), "maps of 'm' must be"),
        (lambda: plot_attributions(pictures(), {"m": maps}, percentile=0), "percentile .* got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
