"""The accounts of networks against hand counts and against the verified totals of published ones."""

import re

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from utils.analysis.accounting import account, short
from utils.analysis.receptive_field import receptive_field
from utils.models import build_model


def on_meta(build, **options):
    """A network without weights, for which even 143 million parameters cost nothing."""
    with torch.device("meta"):
        return build(**options)


# --- by hand


def test_a_small_net_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8×4×4 outputs, each 27 multiply-adds
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4, bias=False),  # 8×2×2 outputs, each 2·9
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    table = account(net, (3, 8, 8))
    assert [(row.name, row.type, row.output_shape, row.params, row.macs, row.bytes) for row in table] == [
        ("0", "Conv2d", (8, 4, 4), 3 * 9 * 8 + 8, 8 * 16 * 27, 512),
        ("1", "BatchNorm2d", (8, 4, 4), 16, 0, 512),
        ("2", "ReLU", (8, 4, 4), 0, 0, 512),
        ("3", "Conv2d", (8, 2, 2), 8 * 2 * 9, 8 * 4 * 18, 128),
        ("4", "AvgPool2d", (8, 1, 1), 0, 0, 32),
        ("5", "Flatten", (8,), 0, 0, 32),
        ("6", "Linear", (5,), 45, 40, 20),
    ]
    assert table.total_params == 224 + 16 + 144 + 45
    assert table.total_macs == 3456 + 576 + 40
    assert table.total_bytes == 512 * 3 + 128 + 32 + 32 + 20


def test_a_transposed_convolution_multiplies_once_for_each_input_and_weight():
    table = account(nn.ConvTranspose2d(3, 6, 4, stride=2, padding=1), (3, 5, 5))
    assert table["(model)"].output_shape == (6, 10, 10)
    assert table.total_macs == 25 * 3 * 6 * 16


def test_rows_stand_in_the_order_of_execution():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.second, self.first = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x):
            return self.second(self.first(x))

    assert [row.name for row in account(Backwards(), (3,))] == ["first", "second"]


def test_a_shared_module_counts_its_parameters_once_and_its_work_each_time():
    layer = nn.Linear(4, 4)
    table = account(nn.Sequential(layer, nn.ReLU(), layer), (4,))
    assert [row.params for row in table] == [20, 0, 0]
    assert [row.macs for row in table] == [16, 0, 16]


def test_tied_weights_count_once():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    table = account(nn.Sequential(first, second), (4,))
    assert table.total_params == 16 and table.total_macs == 32


class OwnWork(nn.Module):
    """Multiplies matrices itself between two layers, with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.before, self.after = nn.Linear(6, 5), nn.Linear(5, 2)
        self.mix = nn.Parameter(torch.zeros(5, 5))

    def forward(self, x):
        h = self.before(x)  # [1, 7, 5]
        scores = h @ h.transpose(1, 2)  # [1, 7, 7]
        return self.after(scores @ (h @ self.mix))


def test_work_between_layers_is_a_row_of_the_module_that_does_it():
    table = account(nn.Sequential(OwnWork(), nn.ReLU()), (7, 6))
    assert [row.name for row in table] == ["0.before", "0.after", "0", "1"]
    own = table["0"]
    assert own.type == "OwnWork" and own.params == 25
    assert own.macs == 7 * 7 * 5 + 7 * 5 * 5 + 7 * 7 * 5
    assert own.bytes == 0  # what it returns is the output of "after", which is counted there
    assert table.total_params == 25 + 35 + 12


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_counts_its_projections_and_products(need_weights):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=need_weights)[0]

    row = account(Attention(), (5, 8))["attention"]
    assert row.params == 3 * 8 * 8 + 3 * 8 + 8 * 8 + 8
    assert row.macs == 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8
    assert row.output_shape == (5, 8)


def test_parameters_that_nothing_uses_are_shown_as_not_run():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(3, 3), nn.Linear(3, 7)

        def forward(self, x):
            return self.used(x)

    table = account(Idle(), (3,))
    assert [(row.name, row.output_shape, row.params, row.macs) for row in table] == [
        ("used", (3,), 12, 9),
        ("idle", None, 28, 0),
    ]
    assert "(not run)" in str(table) and "(not run)" in table._repr_html_()


def test_parameters_in_a_list_belong_to_the_module_that_uses_them():
    class Scales(nn.Module):
        def __init__(self):
            super().__init__()
            self.scales = nn.ParameterList([torch.ones(3), torch.ones(1)])

        def forward(self, x):
            return x * self.scales[0] + self.scales[1]

    table = account(nn.Sequential(Scales()), (3,))
    assert [(row.name, row.params, row.macs) for row in table] == [("0", 4, 0)]


def test_layers_that_only_pass_on_have_no_row():
    table = account(nn.Sequential(nn.Identity(), nn.Sequential(), nn.Linear(2, 2)), (2,))
    assert [row.name for row in table] == ["2"]


def test_a_layer_can_declare_its_own_count():
    class HalfOfThem(nn.Conv2d):
        def count_macs(self, x, output):
            assert x.shape == (1, 2, 4, 4) and output.shape == (1, 2, 2, 2)
            return 72

    assert account(HalfOfThem(2, 2, 3), (2, 4, 4)).total_macs == 72
    assert account(nn.Conv2d(2, 2, 3), (2, 4, 4)).total_macs == 144


def test_several_inputs_and_several_outputs():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.image, self.vector = nn.Conv2d(1, 2, 3), nn.Linear(4, 6)

        def forward(self, image, vector):
            return {"image": self.image(image), "vector": self.vector(vector)}

    table = account(Pair(), ((1, 5, 5), (4,)))
    assert [row.output_shape for row in table] == [(2, 3, 3), (6,)]
    assert "1×5×5 and 4" in str(table)


# --- what torch's counter does not know


class Applied(nn.Module):
    """Some function of the input and of a weight."""

    def __init__(self, function, *shape):
        super().__init__()
        self.weight, self.function = nn.Parameter(torch.ones(shape)), function

    def forward(self, *inputs):
        return self.function(*inputs, self.weight)


@pytest.mark.parametrize(
    ("function", "shape", "size", "macs"),
    [
        (lambda x, w: x.flatten(1) @ w, (48,), (3, 4, 4), 48),
        (lambda x, w: x.flatten(1) @ w[:, None], (48,), (3, 4, 4), 48),
        (lambda x, w: x @ w, (6,), (5, 6), 30),
        (lambda x, w: w @ x[0], (5,), (5, 6), 30),
        (lambda x, w: torch.mv(w, x[0]), (7, 6), (6,), 42),
        (lambda x, w: torch.addmv(w[:, 0], w, x[0]), (7, 6), (6,), 42),
        (lambda x, w: torch.dot(x[0], w), (6,), (6,), 6),
        (lambda x, w: torch.einsum("bni,i->bn", x, w), (6,), (5, 6), 30),
        # attention pooling: one query scores 5 places of 6 features, then their mean by these weights
        (lambda x, w: (x @ w).softmax(1)[:, None] @ x, (6,), (5, 6), 30 + 30),
    ],
)
def test_products_with_vectors(function, shape, size, macs):
    assert account(Applied(function, *shape), size).total_macs == macs


def test_bilinear_layers():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.bilinear = nn.Bilinear(5, 6, 7)

        def forward(self, x, y):
            return self.bilinear(x, y)

    assert account(Pair(), ((5,), (6,))).total_macs == 5 * 6 * 7
    assert account(Pair(), ((3, 5), (3, 6)))["bilinear"].macs == 3 * 5 * 6 * 7


class LooksAtValues(nn.Module):
    """Must run on the device of its weights."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        assert x.sum().item() == 0
        return self.part(x)[0]


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers_count_the_same_with_and_without_values(kind, gates, directions):
    part = kind(5, 7, batch_first=True, bidirectional=directions == 2)
    macs = 3 * gates * (5 * 7 + 7 * 7) * directions  # 3 steps
    assert account(part, (3, 5)).total_macs == account(LooksAtValues(part), (3, 5)).total_macs == macs


@pytest.mark.parametrize("groups", [1, 2])
def test_deformable_convolutions(groups):
    class Deformable(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = nn.Conv2d(4, 18, 3, padding=1)
            self.conv = torchvision.ops.DeformConv2d(4, 6, 3, padding=1, groups=groups)

        def forward(self, x):
            return self.conv(x, self.offset(x))

    table = account(Deformable(), (4, 8, 8))
    assert table["conv"].macs == 64 * 6 * (4 // groups) * 9 and table.not_counted == ()


@torch.library.custom_op("convolution_lab_test::scan", mutates_args=())
def scan(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return x @ w


@scan.register_fake
def _(x, w):
    return x.new_empty((len(x), w.shape[1]))


@pytest.mark.parametrize(
    ("function", "size", "name"),
    [
        (scan, (3,), "convolution_lab_test::scan"),
        (
            lambda x, w: torch.cdist(x, w, compute_mode="donot_use_mm_for_euclid_dist"),
            (5, 3),
            "_cdist_forward",
        ),
        (lambda x, w: torch.fft.rfft(x) * w.sum(), (3,), "_fft_r2c"),
        (lambda x, w: x @ torch.linalg.inv(w), (3,), "linalg_inv_ex"),
    ],
)
def test_what_has_no_formula_is_named(function, size, name):
    table = account(nn.Sequential(nn.Linear(size[-1], 3), Applied(function, 3, 3)), size)
    assert table["1"].not_counted == table.not_counted == (name,) and table["0"].not_counted == ()
    lines = str(table).split("\n")
    assert "not counted" in lines[4] and "not counted" not in lines[3]
    (total,) = (line for line in lines if line.startswith("total"))
    assert "+ not counted" in total and f"There is no count of {name} in 1." in " ".join(lines)
    assert "not counted" in repr(table)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.LayerNorm([4, 8, 8]), nn.PReLU(4), nn.GroupNorm(2, 4), nn.BatchNorm2d(4)),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3)),
        Applied(lambda x, w: x + nn.functional.interpolate(w, (8, 8), mode="bicubic"), 1, 4, 3, 3),
        Applied(lambda x, w: x * w.t().contiguous().sigmoid()[0, 0] + w.mean() + w.roll(1)[0, 0], 4, 4),
    ],
)
def test_element_by_element_work_is_not_called_uncounted(model):
    assert account(model, (4, 8, 8)).not_counted == ()


# --- subtotals, trees and inputs


def test_a_module_without_a_row_has_a_subtotal():
    table = account(on_meta(torchvision.models.resnet18), (3, 64, 64))
    inside = [row for row in table if row.name.startswith("layer1.")]
    part = table["layer1"]
    assert (part.type, part.output_shape, part.params) == ("Sequential", (64, 16, 16), 4 * 64 * 64 * 9 + 512)
    assert part.macs == 4 * 64 * 64 * 9 * 256 == sum(row.macs for row in inside)
    assert part.bytes == sum(row.bytes for row in inside)
    assert table["layer1.1"].params == part.params // 2
    assert table.subtotal("(model)").macs == table.total_macs
    with pytest.raises(KeyError, match="no module named 'layer9'; did you mean 'layer"):
        table.subtotal("layer9")


def test_a_row_is_the_share_of_its_module_and_a_subtotal_all_in_it():
    table = account(nn.Sequential(OwnWork(), nn.ReLU()), (7, 6))
    assert table["0"].params == 25 and table.subtotal("0").params == table.total_params
    layer = nn.Linear(4, 4)
    assert account(nn.Sequential(layer, layer), (4,)).subtotal("0").macs == 32


def test_a_module_that_is_called_again_has_a_row_for_each_call():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.linear = nn.Parameter(torch.ones(6)), nn.Linear(6, 6)

        def forward(self, x):
            return x * self.w + self.linear(x)

    shared = Mixed()
    table = account(nn.Sequential(shared, shared), (4, 6))
    assert [(row.name, row.params, row.macs, row.bytes) for row in table] == [
        ("0.linear", 42, 144, 96),
        ("0", 6, 0, 96),
        ("0.linear", 0, 144, 96),
        ("0", 0, 0, 96),
    ]


def test_a_tree_has_the_subtotals_as_deep_as_one_wants():
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 2))), nn.Linear(2, 1))
    table = account(net, (4,), depth=2)
    lines = [line.split() for line in str(table).split("\n")[3:7]]
    assert lines == [
        ["0", "Sequential", "2", "23", "18", "20"],
        ["0", "Linear", "3", "15", "12", "12"],
        ["1", "Sequential", "2", "8", "6", "8"],
        ["1", "Linear", "1", "3", "2", "4"],
    ]
    assert [len(table.tree(depth).body) for depth in (1, 2, 3, None)] == [2, 4, 5, 5]
    assert str(table).split("\n")[4].startswith("  0") and table._repr_html_().count("<tr>") == 6
    for depth in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match=f"got {depth}"):
            account(net, (4,), depth=depth)


def test_trainable_and_frozen_weights():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    net[0].requires_grad_(False)
    net[1].bias.requires_grad_(False)
    table = account(net, (4,))
    assert [(row.trainable, row.frozen) for row in table] == [(0, 15), (3, 3), (8, 0)]
    assert (table.trainable_params, table.frozen_params) == (11, 18)
    assert "11 parameters are trainable, 18 are frozen." in str(table)


def test_totals_have_a_letter_and_the_repr_is_short():
    table = account(on_meta(torchvision.models.resnet18), (3, 224, 224))
    (total,) = (line for line in str(table).split("\n") if line.startswith("total"))
    assert "11,689,512 (11.69 M)" in total and "1,814,073,344 (1.81 G)" in total
    assert repr(table) == (
        "<Account of ResNet on 3×224×224: 60 rows, 11.69 M parameters, 1.81 G multiply-adds>"
    )
    numbers = {999: "999", 1000: "1.00 K", 999_999: "1.00 M", 1_500_000: "1.50 M", 3 * 10**12: "3.00 T"}
    assert {number: short(number) for number in numbers} == numbers


def test_inputs_with_a_dtype_or_given_as_they_are():
    net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    table = account(net, (5,), dtype=torch.long)
    assert (table["0"].output_shape, table.total_macs) == ((5, 4), 40)
    words = torch.randint(10, (1, 5))
    assert account(net, input_data=words).rows == table.rows
    assert account(net, input_data=(words,)).rows == table.rows
    assert account(net, input_data={"input": words}).rows == table.rows
    assert account(net, input_data=words.expand(3, 5)).total_macs == 3 * 40
    assert account(nn.Linear(4, 2).half(), (4,)).total_macs == 8
    for wrong in ({}, {"input_size": (5,), "input_data": words}, {"input_data": "words"}):
        with pytest.raises(ValueError, match="input_data"):
            account(net, **wrong)
    with pytest.raises(ValueError, match="dtype must be one torch.dtype"):
        account(net, (5,), dtype=(torch.long, torch.long))


# --- LeNet-5 and its like


def test_lenet_5_layer_by_layer():
    table = account(build_model("lenet-5"), (1, 32, 32))
    assert [(row.name, row.output_shape, row.params, row.macs) for row in table] == [
        ("c1", (6, 28, 28), 156, 117_600),
        ("s2", (6, 14, 14), 12, 1_176),
        ("c3", (16, 10, 10), 1_516, 150_000),
        ("s4", (16, 5, 5), 32, 400),
        ("c5", (120, 1, 1), 48_120, 48_000),
        ("f6", (84,), 10_164, 10_080),
        ("output", (10,), 0, 840),
    ]
    assert table.total_params == 60_000 and table["c1"].bytes == 6 * 28 * 28 * 4


def test_modern_lenet():
    table = account(build_model("lenet"), (1, 28, 28))
    assert table.total_params == 61_706
    assert table.total_macs == 117_600 + 240_000 + 48_000 + 10_080 + 840


# --- published networks: parameters, and multiply-adds at 224×224, to the digit

TOTALS = {
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_513_626_624),
    "mobilenet_v2": (3_504_872, 300_774_272),
}


@pytest.mark.parametrize("name", TOTALS)
def test_published_totals(name):
    table = account(on_meta(getattr(torchvision.models, name)), (3, 224, 224))
    assert (table.total_params, table.total_macs) == TOTALS[name]


def vgg_c():
    """VGG's column C, in which the third convolution of the last three blocks is 1×1."""
    layers, channels = [], 3
    for width, kernels in [(64, (3, 3)), (128, (3, 3)), (256, (3, 3, 1)), (512, (3, 3, 1)), (512, (3, 3, 1))]:
        for kernel in kernels:
            layers += [nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(512 * 49, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers)


def test_vgg_c_with_its_1_by_1_convolutions():
    table = account(on_meta(vgg_c), (3, 224, 224))
    assert table.total_params == 133_638_952
    assert round(table.total_macs / 1e9, 3) == 11.771


def test_googlenet_with_auxiliary_heads_that_do_not_run():
    model = on_meta(torchvision.models.googlenet, init_weights=False)
    table = account(model, (3, 224, 224))
    assert table.total_params == 13_004_888
    assert sum(row.params for row in table if row.output_shape is not None) == 6_624_904
    assert {row.name.split(".")[0] for row in table if row.output_shape is None} == {"aux1", "aux2"}


def test_vision_transformer_by_formula():
    table = account(on_meta(torchvision.models.vit_b_16), (3, 224, 224))
    tokens, width = 197, 768
    block = (
        12 * tokens * width * width + 2 * tokens * tokens * width
    )  # projections 4, MLP 8; scores and values
    assert table.total_macs == 196 * width * 3 * 16 * 16 + 12 * block + 1000 * width
    assert table.total_params == 86_567_656
    assert table["(model)"].params == 768  # the class token


def test_every_layer_of_a_residual_net_is_there():
    model = on_meta(torchvision.models.resnet18)
    table = account(model, (3, 224, 224))
    leaves = {name for name, module in model.named_modules() if not list(module.children())}
    assert {row.name for row in table} == leaves
    assert sum(row.name == "layer1.0.relu" for row in table) == 2  # called twice


# --- how it runs


def test_real_and_meta_networks_have_the_same_account():
    torch.manual_seed(0)
    real, meta = torchvision.models.resnet18(), on_meta(torchvision.models.resnet18)
    assert account(real, (3, 64, 64)) == account(meta, (3, 64, 64))


class NeedsValues(nn.Module):
    """Cannot run without values: looks at one, and holds a tensor that is neither parameter nor buffer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.attention = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.constant = torch.ones(1)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        if x.sum().item() > 0:
            raise RuntimeError("the input is not zero")
        torch.rand(3)
        return self.attention(self.conv(x).flatten(2) * self.constant)


def test_a_network_that_needs_values_runs_on_zeros_and_keeps_its_state():
    model = NeedsValues()
    model.conv.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    table = account(model, (1, 4, 4))
    assert torch.equal(torch.rand(1), expected)
    assert table["conv"].macs == 2 * 4 * 9
    assert table["attention.self_attn"].macs == 2 * (4 * 12 + 4 * 4) + 2 * 2 * 2 * 4
    assert table.total_params == sum(parameter.numel() for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training and not model.conv.training and model.attention.training


def traces(model):
    """What must be as it was: training flags, hooks, the identity of the weights, the fused attention."""
    modules = list(model.modules())
    return (
        [module.training for module in modules],
        [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in modules],
        [id(parameter) for parameter in model.parameters()],
        torch.backends.mha.get_fastpath_enabled(),
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("size", [(3, 32, 32), (1, 32, 32)])
def test_nothing_is_left_behind_whether_it_runs_or_fails(size):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval(), nn.Dropout())
    model.get_submodule("0").register_forward_hook(lambda *_: None)
    before = traces(model)
    if size[0] == 3:
        account(model, size)
    else:
        with pytest.raises(ValueError):
            account(model, size)
    assert traces(model) == before


def test_a_compiled_model_is_accounted_as_what_it_was_compiled_from():
    model = nn.Sequential(nn.Linear(3, 4))
    assert account(torch.compile(model), (3,)) == account(model, (3,))


# --- errors


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (5,), "of 5 at 1 (Linear), which received [1, 5]"),
        (
            nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3))),
            (1, 8, 8),
            "at 0.0 (Conv2d), which received [1, 1",
        ),
        (nn.Sequential(nn.Conv2d(1, 1, 5)), (1, 3, 3), "1×3×3 at 0 (Conv2d)"),
        (build_model("lenet"), (3, 28, 28), "of 3×28×28: lenet expects images [B, 1, 28, 28], got [1, 3"),
    ],
)
def test_a_wrong_input_size_is_told_with_the_layer(model, size, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        account(model, size)


@pytest.mark.parametrize("size", [(), 224, (3, 0, 2), (3, -1), (3, 2.5), "32", (3, (2, 2))])
def test_an_impossible_input_size_is_named(size):
    with pytest.raises(ValueError, match=re.escape(f"got {size!r}")):
        account(nn.Identity(), size)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: nn.DataParallel(nn.Linear(3, 3)),
            "wrapped in DataParallel: give the network in it, model.module",
        ),
        (lambda: torch.jit.script(nn.Linear(3, 3)), "scripted .* as it was before torch.jit"),
        (lambda: nn.Sequential(torch.jit.script(nn.Linear(3, 3))), "0 of the model is scripted"),
        (lambda: torch.nn.functional.relu, "must be a torch.nn.Module, got function"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_what_cannot_be_looked_into_is_refused_with_what_to_do(model, message):
    for tool in (account, receptive_field):
        with pytest.raises(ValueError, match=message):
            tool(model(), (3, 3))


def test_parts_that_are_compiled_have_their_own_names():
    table = account(nn.Sequential(torch.compile(nn.Sequential(nn.Linear(3, 3))), nn.ReLU()), (3,))
    assert [row.name for row in table] == ["0.0", "1"] and table["0"].macs == 9


def test_sizes_of_numpy_count_as_numbers_and_batches_are_told():
    net = nn.Conv2d(3, 4, 3)
    assert account(net, np.array([3, 8, 8])) == account(net, (3, np.int64(8), 8)) == account(net, [3, 8, 8])
    with pytest.raises(ValueError, match=r"got a tensor \[1, 3, 8, 8\]: say input_data=x"):
        account(net, torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="leave out the 1 in front"):
        account(net, (1, 3, 8, 8))
    with pytest.raises(ValueError, match="got \\(True, 3, 3\\)"):
        account(net, (True, 3, 3))


def test_lazy_modules_must_have_run():
    with pytest.raises(ValueError, match="0.weight has no shape yet"):
        account(nn.Sequential(nn.LazyLinear(3)), (4,))


def test_an_unknown_row_is_answered_with_the_names():
    with pytest.raises(KeyError, match="no row named 'conv1'; there are c1, s2"):
        account(build_model("lenet-5"), (1, 32, 32))["conv1"]


# --- how it looks


def test_text_table():
    text = str(account(build_model("lenet-5"), (1, 32, 32)))
    lines = text.split("\n")
    assert lines[0] == "LeNet5 on an input of 1×32×32"
    assert lines[1].split() == ["name", "type", "output", "params", "MACs", "bytes"]
    assert lines[3].split() == ["c1", "Conv2d", "6×28×28", "156", "117,600", "18,816"]
    total = [cell.strip() for cell in lines[11].split("  ") if cell]
    assert total == ["total", "60,000 (60.00 K)", "328,096 (328.10 K)", "32,376 (32.38 K)"]
    assert len({len(line) for line in lines[1:12]}) == 1  # the columns line up
    assert "Not counted:" in text and "normalization" in text


def test_html_table_is_escaped_and_well_formed():
    from xml.etree import ElementTree

    class Odd(nn.Linear):
        pass

    Odd.__name__ = "<b>&"
    markup = account(nn.Sequential(Odd(2, 3)), (2,))._repr_html_()
    root = ElementTree.fromstring(f"<div>{markup}</div>")
    cells = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    assert cells == [
        ["name", "type", "output", "params", "MACs", "bytes"],
        ["0", "<b>&", "3", "9", "6", "12"],
        ["total", "", "", "9", "6", "12"],
    ]


def test_data_frame():
    table = account(build_model("lenet-5"), (1, 32, 32))
    frame = table.to_frame()
    assert list(frame.columns) == ["name", "type", "output_shape", "params", "macs", "bytes"]
    assert len(frame) == len(table) == 7
    assert frame["params"].sum() == table.total_params and frame["macs"].sum() == table.total_macs


def test_a_module_that_is_used_twice_keeps_its_weights():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), conv)
    costs = account(model, (3, 8, 8))
    assert conv.weight.device.type == "cpu" and costs.total_params == 84
    assert costs.total_macs == 2 * 81 * 64
