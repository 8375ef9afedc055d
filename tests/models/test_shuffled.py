"""The shuffle in front of a network: the same order for all images and channels, and nothing else changed."""

import pytest
import torch

from tests.models import zoo
from utils.models import build_model

ZOO = {"shuffled": zoo.small(61_706, fixed_size=True, channels=1)}


@pytest.mark.parametrize("network", ["linear", "mlp", "lenet"])
def test_it_is_the_network_on_images_whose_pixels_all_have_the_same_new_order(network):
    torch.manual_seed(0)
    model = build_model("shuffled", in_channels=3, network=network).eval()
    # a picture in which each pixel says where it was
    numbers = torch.arange(32.0 * 32).view(1, 1, 32, 32).expand(1, 3, 32, 32)
    model.network, inside = torch.nn.Identity(), model.network
    order = model(numbers)[0, 0].flatten().long()
    assert sorted(order.tolist()) == list(range(32 * 32)) != order.tolist()
    assert torch.equal(model(numbers)[0, 1], model(numbers)[0, 0])

    model.network, x = inside, torch.randn(2, 3, 32, 32)
    moved = torch.stack([pixels.flatten()[order].view(32, 32) for image in x for pixels in image])
    torch.testing.assert_close(model(x), inside(moved.view(2, 3, 32, 32)))


def test_the_order_follows_from_the_seed_and_is_not_kept_with_the_weights():
    one, again, other = (build_model("shuffled", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.order, again.order) and not torch.equal(one.order, other.order)
    assert list(one.state_dict()) == [f"network.{key}" for key in build_model("lenet").state_dict()]


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="'linear', 'mlp' or 'lenet', got 'resnet-20'"):
        build_model("shuffled", network="resnet-20")
