"""The rule that chooses precision, layout and convolutions, for processors that need not be there."""

import pytest
import torch

from utils.training import choose_settings, fit, processor
from utils.training.fast_convolutions import ALL_PASSES, Passes, Shapes
from utils.training.precision import Settings, other_passes
from utils.training.processor import BFLOAT16_UNITS, UNITS, processor_unit

BOTH = ["avx512_bf16", "amx_bf16"]
NONE, WEIGHT = Passes(), Passes(weight=True)


@pytest.mark.parametrize(
    "maker, units, limit, unit",
    [
        ("GenuineIntel", BOTH, "", "amx_bf16"),  # since 2023
        ("GenuineIntel", BOTH, "ALL", "amx_bf16"),
        ("GenuineIntel", BOTH, "AVX512_CORE_BF16", "avx512"),
        ("GenuineIntel", BOTH, "avx512_core_fp16", "avx512"),
        ("GenuineIntel", BOTH, "AVX512_CORE", "avx512"),
        ("GenuineIntel", BOTH, "AVX2", ""),
        ("GenuineIntel", ["avx512_bf16"], "", "avx512"),  # a machine whose system hides the matrix unit
        ("Intel64 Family 6 Model 143 Stepping 8, GenuineIntel", ["avx512_bf16"], "", "avx512"),
        ("GenuineIntel", [], "", "avx512"),  # since 2017
        ("GenuineIntel", ["avx2"], "", ""),
        ("AuthenticAMD", ["avx512_bf16"], "", "avx512_bf16"),  # since Zen 4
        ("AuthenticAMD", ["avx512_bf16"], "AVX512_CORE_BF16", "avx512_bf16"),
        ("AuthenticAMD", ["avx512_bf16"], "AVX2", ""),
        ("AuthenticAMD", BOTH, "", "amx_bf16"),
        ("AuthenticAMD", BOTH, "AVX512_CORE_BF16", "avx512_bf16"),
        ("AuthenticAMD", [], "", ""),
        ("Apple M9", [], "", ""),
    ],
)
@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_the_unit_of_a_processor(maker, units, limit, unit, variable):
    capabilities = {name: name in units for name in BOTH}
    for name in ("avx512_f", "avx512f"):  # as torch calls it, as Linux does
        told = {**capabilities, name: "avx2" not in units}
        assert processor_unit(told, {variable: limit}, maker) == unit


@pytest.mark.parametrize("told, maker", [("vendor_id\t: AuthenticAMD\n", "AuthenticAMD"), ("", "Apple M9")])
def test_the_maker_is_what_the_system_says_or_else_in_the_name(monkeypatch, told, maker):
    monkeypatch.setattr(processor, "_cpuinfo", lambda: told)
    monkeypatch.setattr(processor, "processor_name", lambda: "Apple M9")
    assert processor.processor_maker() == maker


def test_this_processor_has_one_of_the_units():
    assert processor_unit() in UNITS


@pytest.mark.parametrize(
    "unit, arguments, expected",
    [
        ("amx_bf16", {}, Settings("cpu", "bfloat16", True, unit="amx_bf16")),
        ("avx512_bf16", {}, Settings("cpu", "bfloat16", True, unit="avx512_bf16")),
        ("avx512", {}, Settings("cpu", "float32", True, unit="avx512")),
        ("avx512", {"precision": "float32"}, Settings("cpu", "float32", True)),
        ("avx512", {"precision": "bfloat16"}, Settings("cpu", "bfloat16", True)),
        ("avx512", {"channels_last": False}, Settings("cpu", "float32", False)),
        ("avx512", {"compile": True}, Settings("cpu", "float32", True, compile=True)),
        ("", {}, Settings("cpu", "float32", True)),
        ("amx_bf16", {"precision": "float32"}, Settings("cpu", "float32", True)),
        ("amx_bf16", {"channels_last": False}, Settings("cpu", "bfloat16", False)),
        ("amx_bf16", {"compile": True}, Settings("cpu", "bfloat16", True, compile=True)),
        ("", {"precision": "bfloat16"}, Settings("cpu", "bfloat16", True)),
    ],
)
def test_what_is_chosen_on_a_cpu(unit, arguments, expected):
    assert choose_settings("cpu", unit=unit, **arguments) == expected


def test_a_gpu_has_no_unit():
    assert choose_settings("cuda", "float32", unit="amx_bf16") == Settings("cuda", "float32", True)


@pytest.mark.parametrize(
    "unit, kernel, stride, output, passes",
    [
        ("amx_bf16", 3, 1, 2, ALL_PASSES),
        ("amx_bf16", 3, 2, 4, ALL_PASSES),
        ("amx_bf16", 3, 1, 5, WEIGHT),
        ("amx_bf16", 3, 1, 8, WEIGHT),
        ("amx_bf16", 3, 1, 9, NONE),
        ("amx_bf16", 1, 1, 2, NONE),
        ("avx512_bf16", 3, 1, 2, WEIGHT),
        ("avx512_bf16", 3, 1, 3, NONE),
        ("avx512_bf16", 3, 2, 4, WEIGHT),
        ("avx512_bf16", 3, 2, 5, NONE),
        ("avx512_bf16", 1, 1, 1, NONE),
        ("avx512", 3, 1, 3, ALL_PASSES),
        ("avx512", 3, 2, 3, ALL_PASSES),
        ("avx512", 3, 1, 4, NONE),
        ("avx512", 1, 1, 2, NONE),
        ("", 3, 1, 2, NONE),
    ],
)
def test_which_passes_are_matrix_products(unit, kernel, stride, output, passes):
    shapes = Shapes(64, 64, (kernel, kernel), (stride, stride), 1, (output, output))
    assert other_passes(unit, shapes) == passes


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_in_groups_have_their_input_gradient_spread_where_they_stride(unit, stride):
    shapes = Shapes(64, 64, (3, 3), (stride, stride), 64, (2, 2))
    assert other_passes(unit, shapes) == Passes(spread=unit in BFLOAT16_UNITS and stride == 2)


def test_the_larger_side_decides():
    assert other_passes("avx512_bf16", Shapes(8, 8, (3, 3), (1, 1), 1, (1, 3))) == NONE


@pytest.mark.parametrize("unit", UNITS)
def test_settings_say_how_they_run(unit):
    told = str(choose_settings("cpu", unit=unit))
    assert ("matrix products" in told) == bool(unit) and unit in told
    assert (", bfloat16," in told) == (unit in BFLOAT16_UNITS)
    assert Settings(unit=unit).running() is not None


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="unit is one of .* got 'sse'"):
        Settings(unit="sse")
    with pytest.raises(ValueError, match="precision is 'auto' or one of .* got 'float16'"):
        choose_settings("cpu", "float16")


@pytest.fixture
def data():
    from utils.data import Split

    images = torch.randint(
        0, 256, (48, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return Split(images, torch.arange(48) % 2, (0.5,) * 3, (0.25,) * 3)


def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=4, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 2),
    )


@pytest.mark.parametrize("unit", UNITS)
def test_fit_follows_the_rule_of_the_machine_and_says_so(data, monkeypatch, unit):
    monkeypatch.setattr("utils.training.precision.processor_unit", lambda: unit)
    runs = [fit(small(), data, epochs=2, batch_size=16, progress=False) for _ in range(2)]
    settings = runs[0].settings
    assert (settings["unit"], settings["precision"]) == (
        unit,
        "bfloat16" if unit in BFLOAT16_UNITS else "float32",
    )
    assert runs[0].train_loss == runs[1].train_loss, "the same call gives the same bits"


def test_a_run_goes_on_with_the_settings_it_began_with(data, monkeypatch, tmp_path):
    options = {"batch_size": 16, "progress": False, "checkpoint": tmp_path / "run.pt"}
    monkeypatch.setattr("utils.training.precision.processor_unit", lambda: "amx_bf16")
    whole = fit(small(), data, epochs=3, **{**options, "checkpoint": None})
    fit(small(), data, epochs=1, **options)
    monkeypatch.setattr("utils.training.precision.processor_unit", lambda: "")
    resumed = fit(small(), data, epochs=3, **options)
    assert resumed.settings["unit"] == "amx_bf16" and resumed.settings["precision"] == "bfloat16"
    assert resumed.train_loss == whole.train_loss
