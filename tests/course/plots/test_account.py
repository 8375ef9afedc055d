"""The picture of an account: its segments are the account's shares, and bad input is refused."""

import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from utils.analysis.accounting import account
from utils.course.plots.account import GRAY, plot_account
from utils.models import build_model


def small_net():
    parts = {"conv": nn.Conv2d(1, 2, 3), "relu": nn.ReLU(), "flat": nn.Flatten(), "fc": nn.Linear(2 * 36, 4)}
    net = nn.Sequential()
    for name, part in parts.items():
        net.add_module(name, part)
    return account(net, (1, 8, 8))


def widths(figure):
    """For each bar the widths of its segments, from left to right."""
    ax = figure.axes[0]
    bars = {}
    for patch in ax.patches:
        bars.setdefault(round(patch.get_y() + patch.get_height() / 2), []).append(patch.get_width())
    return [bars[place] for place in sorted(bars)]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_segments_are_the_shares_of_the_account():
    figure = plot_account(small_net(), min_share=0)
    # parameters 20 and 292, multiply-adds 72·9 and 72·4; 3·72 outputs (convolution, ReLU, flatten) and 4
    expected = [[20 / 312, 292 / 312], [648 / 936, 288 / 936], [216 / 220, 4 / 220]]
    assert widths(figure) == [pytest.approx(bar) for bar in expected]
    assert legend(figure) == ["conv", "fc"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["parameters\n312", "multiply-adds\n936", "activations\n880 B"]
    assert figure.axes[0].get_xlabel() and plt.get_fignums() == []


def test_large_segments_are_labeled():
    texts = [text.get_text() for text in plot_account(small_net()).axes[0].texts]
    assert "fc\n94\u2009%" in texts and "conv\n69\u2009%" in texts


def test_small_groups_become_one():
    with torch.device("meta"):
        net = build_model("alexnet")
    figure = plot_account(account(net, (3, 224, 224)), columns=["params"], min_share=0.05)
    assert legend(figure) == ["fc6", "fc7", "fc8", "other"]
    (bar,) = widths(figure)
    assert sum(bar) == pytest.approx(1)
    # conv1 to conv5 hold 2.47 of the 61.1 million
    assert bar[-1] == pytest.approx(0.0404, abs=1e-4)
    assert figure.axes[0].patches[-1].get_facecolor()[:3] == pytest.approx(
        tuple(int(GRAY[i : i + 2], 16) / 255 for i in (1, 3, 5))
    )


@pytest.mark.parametrize(
    ("name", "first", "number"),
    [("alexnet", "conv1", 8), ("vgg-d", "conv1_1", 16), ("resnet-50", "conv1", 6)],
)
def test_groups_are_as_fine_as_can_be_told_apart(name, first, number):
    with torch.device("meta"):
        net = build_model(name)
    figure = plot_account(account(net, (3, 224, 224)), min_share=0)
    assert len(legend(figure)) == number and legend(figure)[0] == first
    looks = [(handle.get_facecolor(), handle.get_hatch()) for handle in figure.legends[0].get_patches()]
    assert len(set(looks)) == len(looks)


def test_depth_and_group_are_free():
    table = account(
        nn.Sequential(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)), nn.Conv2d(1, 1, 3)), (1, 9, 9)
    )
    assert legend(plot_account(table, depth=1)) == ["0", "1"]
    assert legend(plot_account(table, depth=2)) == ["0.0", "0.1", "1"]
    assert legend(plot_account(table, group=lambda row: row.type)) == ["Conv2d"]


def test_bad_input_is_refused():
    table = small_net()
    for options, message in [
        ({"columns": ["flops"]}, "params, macs, bytes, got"),
        ({"columns": []}, "columns are some of"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"min_share": 1.5}, "min_share .* got 1.5"),
    ]:
        with pytest.raises(ValueError, match=message):
            plot_account(table, **options)
    with pytest.raises(ValueError, match="no parameters to show"):
        plot_account(account(nn.Sequential(nn.ReLU()), (1, 4, 4)))
