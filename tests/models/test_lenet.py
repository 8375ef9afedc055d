"""LeNet-5 against the numbers of the paper, and the modern form against the usual ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.models import zoo
from utils.models import build_model
from utils.models.lenet import C3_CONNECTIONS, TableConv2d, digit_codes, scaled_tanh

ZOO = {
    "lenet": zoo.small(61_706, fixed_size=True, channels=1, size=28),
    "lenet-5": zoo.small(60_000, fixed_size=True, channels=1),
}


def trainable(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def test_trainable_parameters_of_each_layer_are_the_papers():
    model = build_model("lenet-5")
    counts = {name: trainable(layer) for name, layer in model.named_children()}
    assert counts == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0}
    assert trainable(model) == 60_000


def test_the_output_has_840_fixed_weights_of_plus_or_minus_one():
    codes = build_model("lenet-5").output.codes
    assert codes.shape == (10, 84) and not codes.requires_grad
    assert set(codes.unique().tolist()) == {-1.0, 1.0}


def test_connections_counted_as_in_the_paper():
    # a unit of a convolution has its kernel's weights and a bias; one of S2 or S4 four inputs and a bias
    connections = {
        "C1": 28 * 28 * 6 * (25 + 1),
        "S2": 14 * 14 * 6 * (4 + 1),
        "C3": 10 * 10 * sum(25 * len(row) + 1 for row in C3_CONNECTIONS),
        "S4": 5 * 5 * 16 * (4 + 1),
        "C5": 120 * (16 * 25 + 1),
        "F6": 84 * (120 + 1),
        "RBF": 84 * 10,
    }
    assert connections["C1"] == 122_304 and connections["S2"] == 5_880 and connections["C3"] == 151_600
    assert sum(connections.values()) == 340_908


def test_connection_table_has_the_papers_regularities():
    assert [len(row) for row in C3_CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    assert sum(len(row) for row in C3_CONNECTIONS) == 60
    assert [sum(source in row for row in C3_CONNECTIONS) for source in range(6)] == [10] * 6
    assert len(set(C3_CONNECTIONS)) == 16 and all(list(row) == sorted(set(row)) for row in C3_CONNECTIONS)
    neighbors = [tuple(sorted((first + step) % 6 for step in range(3))) for first in range(6)]
    assert set(C3_CONNECTIONS[:6]) == set(neighbors)  # all runs of three maps around the circle
    fours = [tuple(sorted((first + step) % 6 for step in range(4))) for first in range(6)]
    assert set(C3_CONNECTIONS[6:12]) == set(fours)


def test_c3_is_the_sum_of_single_map_convolutions_over_the_table():
    torch.manual_seed(0)
    layer = TableConv2d(6, C3_CONNECTIONS, kernel_size=5).double()
    x = torch.randn(2, 6, 14, 14, dtype=torch.float64)
    out = layer(x)
    kernel = 0  # the kernels stand in the order of the table
    for target, row in enumerate(C3_CONNECTIONS):
        expected = layer.bias[target].expand(2, 1, 10, 10)
        for source in row:
            expected = expected + F.conv2d(x[:, source : source + 1], layer.weight[kernel][None, None])
            kernel += 1
        torch.testing.assert_close(out[:, target : target + 1], expected)
    assert kernel == 60


def test_every_c3_kernel_gets_a_gradient_and_missing_connections_stay_zero():
    layer = TableConv2d(6, C3_CONNECTIONS, kernel_size=5)
    layer(torch.randn(1, 6, 14, 14)).square().sum().backward()
    assert (layer.weight.grad.flatten(1).abs().sum(dim=1) > 0).all()
    dense = layer.dense_weight()
    for target, row in enumerate(C3_CONNECTIONS):
        missing = [source for source in range(6) if source not in row]
        assert not dense[target, missing].any() and dense[target, list(row)].any()


def test_the_table_is_not_saved_with_the_weights():
    assert set(build_model("lenet-5").c3.state_dict()) == {"weight", "bias"}


def test_a_table_that_names_a_missing_map_is_refused():
    with pytest.raises(ValueError, match="outside 0 to 1"):
        TableConv2d(2, ((0, 2),), kernel_size=3)


def test_subsampling_by_hand():
    layer = build_model("lenet-5").s2
    with torch.no_grad():
        layer.coefficient[:] = torch.arange(6.0)
        layer.bias[:] = 10
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 6, 2, 2)
    assert layer(x).flatten().tolist() == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


def test_rbf_distance_by_hand():
    output = build_model("lenet-5").output
    codes = digit_codes()
    assert output(torch.zeros(1, 84)).tolist() == [[84.0] * 10]
    distances = output(codes)
    assert (distances.diagonal() == 0).all()
    differing = (codes[:, None] != codes[None]).sum(dim=2)
    assert torch.equal(distances, 4.0 * differing)  # two pixels of opposite sign are 2 apart
    assert differing[~torch.eye(10, dtype=torch.bool)].min() >= 21


def test_logits_are_minus_the_distance_over_the_temperature():
    x = torch.randn(3, 1, 32, 32)
    for temperature in (1.0, 8.0):
        model = build_model("lenet-5", temperature=temperature)
        torch.testing.assert_close(model(x), -model.output(model.features(x)) / temperature)


def test_cross_entropy_at_temperature_one_is_the_papers_criterion():
    model = build_model("lenet-5", temperature=1.0).double()
    x, y = torch.randn(5, 1, 32, 32, dtype=torch.float64), torch.arange(5)
    distance = model.output(model.features(x))
    criterion = distance[torch.arange(5), y] + torch.log(torch.exp(-distance).sum(dim=1))
    torch.testing.assert_close(F.cross_entropy(model(x), y), criterion.mean())


def test_scaled_tanh_has_the_papers_fixed_points_and_limits():
    x = torch.tensor([-1.0, 0.0, 1.0, 50.0], dtype=torch.float64)
    torch.testing.assert_close(
        scaled_tanh(x), torch.tensor([-1.0, 0.0, 1.0, 1.7159], dtype=torch.float64), atol=1e-4, rtol=0
    )


def test_an_untrained_net_guesses():
    torch.manual_seed(0)
    x, y = torch.randn(256, 1, 32, 32), torch.randint(10, (256,))
    assert F.cross_entropy(build_model("lenet-5")(x), y) < 4.6  # twice ln 10
    assert F.cross_entropy(build_model("lenet-5", temperature=1.0)(x), y) > 4.6


def test_fewer_classes_use_the_first_codes():
    model = build_model("lenet-5", num_classes=3)
    assert torch.equal(model.output.codes, digit_codes()[:3])
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


def test_border_of_a_28_pixel_image_is_repeated():
    torch.manual_seed(0)
    small = build_model("lenet-5", input_size=28)
    large = build_model("lenet-5", input_size=32)
    large.load_state_dict(small.state_dict())
    x = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(small(x), large(F.pad(x, (2, 2, 2, 2), mode="replicate")))


@pytest.mark.parametrize(("channels", "total"), [(1, 61_706), (3, 62_006)])
@pytest.mark.parametrize("size", [28, 32])
def test_modern_lenet(channels, size, total):
    model = build_model("lenet", in_channels=channels, input_size=size)
    assert trainable(model) == total
    assert model(torch.randn(2, channels, size, size)).shape == (2, 10)


def test_modern_lenet_counts_full_connection():
    layers = build_model("lenet").layers
    assert trainable(layers.conv1) == 156 and trainable(layers.conv2) == 2416
    assert (
        trainable(layers.fc1) == 48_120
        and trainable(layers.fc2) == 10_164
        and trainable(layers.output) == 850
    )


@pytest.mark.parametrize("name", ["lenet", "lenet-5"])
def test_every_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    model = build_model(name, input_size=32)
    F.cross_entropy(model(torch.randn(64, 1, 32, 32)), torch.randint(10, (64,))).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["lenet", "lenet-5"])
@settings(deadline=None, max_examples=25)
@given(shape=st.lists(st.integers(1, 40), min_size=2, max_size=5))
def test_a_wrong_input_is_told_what_is_expected(name, shape):
    if len(shape) == 4 and shape[1:] == [1, 32, 32]:
        return
    with pytest.raises(ValueError) as raised:
        build_model(name, input_size=32)(torch.zeros(shape))
    assert f"{name} expects images [B, 1, 32, 32], got {shape}" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 11}, "too few for num_classes=11"),
        ({"input_size": 64}, "input_size=64"),
        ({"temperature": 0}, "temperature must be positive, got 0"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("lenet-5", **options)


@pytest.mark.parametrize("name", ["lenet", "lenet-5"])
def test_torch_fx_can_trace_it(name):
    model = build_model(name, input_size=32)
    x = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), model(x))


@pytest.mark.parametrize("name", ["lenet", "lenet-5"])
def test_it_learns_the_digits(name):
    from sklearn.datasets import load_digits

    digits = load_digits()  # 8×8 pixels with values 0 to 16
    x = torch.tensor(digits.images, dtype=torch.float32)[:, None]
    x = F.interpolate((x - x.mean()) / x.std(), size=28, mode="bilinear")
    y = torch.tensor(digits.target)
    torch.manual_seed(0)
    order = torch.randperm(len(y))
    held_out, train = order[:500], order[500:]
    model = build_model(name, input_size=28)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(5):
        for batch in train[torch.randperm(len(train))].split(64):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = (model(x[held_out]).argmax(dim=1) == y[held_out]).float().mean()
    assert accuracy > 0.93
