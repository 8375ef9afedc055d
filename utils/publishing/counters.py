"""The page "Against other counters": our figures beside those of others, measured again by one command.

``python -m utils.publishing counters`` builds the networks without weights, runs fvcore and torchinfo on
them beside ``account``, follows ``receptive_field`` to the end points of a published table, keeps what it
found in ``book/counters/measured.json`` and writes the tables of the page from that. What others have
published lies with its sources in ``book/counters/published.json``. fvcore, torchinfo and timm are needed for
measuring alone.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utils.analysis.accounting import account
from utils.analysis.receptive_field import receptive_field
from utils.publishing.contents import between
from utils.publishing.notebooks import ROOT

COMMAND = "python -m utils.publishing counters"
PAGE = "book/against_other_counters.md"
MEASURED = "book/counters/measured.json"
PUBLISHED = "book/counters/published.json"
OTHERS = ("fvcore", "timm", "torchinfo")
# operators that fvcore counts beside multiply-adds of layers and products: an operation for each value
NOT_PRODUCTS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "adaptive_avg_pool2d", "upsample")


@dataclass(frozen=True)
class Network:
    """A public network: its name in its library, the side of its input, its name in timm's table."""

    name: str
    library: str
    side: int = 224
    in_table: str | None = None

    def build(self) -> nn.Module:
        """The network in evaluation mode, without weights worth keeping, on torch's default device."""
        if self.library == "timm":
            import timm

            return timm.create_model(self.name).eval()
        import torchvision

        # their initial weights are drawn by a slow method
        options = {"init_weights": False} if self.name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(self.name, weights=None, **options).eval()


NETWORKS = (
    Network("alexnet", "torchvision"),
    Network("vgg16", "torchvision", in_table="vgg16"),
    Network("googlenet", "torchvision"),
    Network("inception_v3", "torchvision", 299, "inception_v3"),
    Network("resnet18", "torchvision", in_table="resnet18"),
    Network("resnet50", "torchvision", in_table="resnet50"),
    Network("resnext50_32x4d", "torchvision", in_table="resnext50_32x4d"),
    Network("wide_resnet50_2", "torchvision", in_table="wide_resnet50_2"),
    Network("densenet121", "torchvision", in_table="densenet121"),
    Network("squeezenet1_1", "torchvision"),
    Network("mobilenet_v2", "torchvision", in_table="mobilenetv2_100"),
    Network("mobilenet_v3_large", "torchvision", in_table="mobilenetv3_large_100"),
    Network("shufflenet_v2_x1_0", "torchvision"),
    Network("mnasnet1_0", "torchvision", in_table="mnasnet_100"),
    Network("efficientnet_b0", "torchvision", in_table="efficientnet_b0"),
    Network("regnet_y_1_6gf", "torchvision", in_table="regnety_016"),
    Network("convnext_tiny", "torchvision", in_table="convnext_tiny"),
    Network("vit_b_16", "torchvision", in_table="vit_base_patch16_224"),
    Network("swin_t", "torchvision", in_table="swin_tiny_patch4_window7_224"),
    Network("maxvit_t", "torchvision", in_table="maxvit_tiny_tf_224"),
    Network("inception_v4", "timm", 299, "inception_v4"),
    Network("res2net50_26w_4s", "timm", in_table="res2net50_26w_4s"),
    Network("ghostnet_100", "timm", in_table="ghostnet_100"),
    Network("efficientnet_b1", "timm", 256, "efficientnet_b1"),
    Network("convmixer_1024_20_ks9_p14", "timm", in_table="convmixer_1024_20_ks9_p14"),
    Network("mixer_b16_224", "timm", in_table="mixer_b16_224"),
    Network("mobilevit_s", "timm", 256, "mobilevit_s"),
    Network("coatnet_0_rw_224", "timm", in_table="coatnet_0_rw_224"),
    Network("xcit_tiny_12_p16_224", "timm", in_table="xcit_tiny_12_p16_224"),
    Network("sequencer2d_s", "timm", in_table="sequencer2d_s"),
)


@dataclass(frozen=True)
class EndPoints:
    """A network of the published table of fields, and our layer for each of its end points."""

    published: str
    network: Network
    layers: tuple[str, ...]
    strides_at_the_end: bool = False

    def build(self) -> nn.Module:
        """Our network, with its strides where the published one has them."""
        network = self.network.build()
        return with_strides_at_the_end(network) if self.strides_at_the_end else network


def _numbered(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in numbers)


STAGES = _numbered("layer", 1, 2, 3, 4)
FIELDS = (
    EndPoints("alexnet_v2", Network("alexnet", "torchvision"), _numbered("features.", 0, 2, 3, 6, 8, 10, 12)),
    EndPoints(
        "vgg_16",
        Network("vgg16", "torchvision"),
        _numbered("features.", 0, 4, 5, 9, 10, 12, 16, 17, 19, 23, 24, 26, 30),
    ),
    EndPoints(
        "inception_v3",
        Network("inception_v3", "torchvision", 299),
        (
            "Conv2d_1a_3x3",
            "Conv2d_2a_3x3",
            "Conv2d_2b_3x3",
            "maxpool1",
            "Conv2d_3b_1x1",
            "Conv2d_4a_3x3",
            "maxpool2",
        )
        + ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e")
        + ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
    ),
    EndPoints("resnet_v1_50", Network("resnet50", "torchvision"), STAGES, strides_at_the_end=True),
    EndPoints("resnet_v1_101", Network("resnet101", "torchvision"), STAGES, strides_at_the_end=True),
    EndPoints("resnet_v1_152", Network("resnet152", "torchvision"), STAGES, strides_at_the_end=True),
    EndPoints("inception_v4", Network("inception_v4", "timm", 299), _numbered("features.", *range(22))),
    EndPoints(
        "inception_resnet_v2",
        Network("inception_resnet_v2", "timm", 299),
        ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "maxpool_5a")
        + ("mixed_5b", "mixed_6a", "repeat_1", "mixed_7a", "conv2d_7b"),
    ),
    EndPoints(
        "mobilenet_v1",
        Network("mobilenetv1_100", "timm"),
        ("conv_stem", "blocks.0.0")
        + tuple(
            f"blocks.{stage}.{block}" for stage, n in ((1, 2), (2, 2), (3, 6), (4, 2)) for block in range(n)
        ),
    ),
)


def with_strides_at_the_end(network: nn.Module) -> nn.Module:
    """A ResNet of torchvision that halves its map in the last block of a stage, not in the first of the next.

    So do the networks of the published table; the convolutions with stride are those with kernel 3 in both.
    """
    stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    for stage, following in zip(stages, stages[1:], strict=False):
        stage[-1].conv2.stride = (2, 2)
        stage[-1].downsample = nn.MaxPool2d(1, 2)
        following[0].conv2.stride = following[0].downsample[0].stride = (1, 1)
    return network


def needed() -> None:
    """Raise ``RuntimeError`` with one sentence if one of the other counters is not installed."""
    missing = [name for name in OTHERS if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"{', '.join(missing)}: not installed. Say `pip install {' '.join(missing)}`, or write the page "
            f"from what was measured before with `{COMMAND} --from-record`."
        )


def _without_values(build: Callable[[], nn.Module]) -> nn.Module:
    """The network on the meta device, where possible: a RegNet computes its widths with tensors."""
    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:
        return build()


def our_macs(network: Network) -> tuple[int, int]:
    """What ``account`` counts, and the parameters; without values, which takes no memory."""
    table = account(_without_values(network.build), (3, network.side, network.side))
    return table.total_macs, table.total_params


def our_fields(points: EndPoints) -> list[list[float]]:
    """Size, jump and padding of each layer; padding is how far before the input the first field begins."""
    fields = receptive_field(_without_values(points.build), (3, points.network.side, points.network.side))
    rows = [fields[layer] for layer in points.layers]
    return [[row.size, row.jump, (row.size - 1) / 2 - row.start] for row in rows]


def _fvcore(model: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """The total of fvcore, and what of it are multiply-adds of layers and products."""
    from fvcore.nn import FlopCountAnalysis

    counts = FlopCountAnalysis(model, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by_operator = {name: round(n) for name, n in counts.by_operator().items()}
    products = sum(n for name, n in by_operator.items() if name not in NOT_PRODUCTS)
    return {"total": sum(by_operator.values()), "products": products}


def measure(networks: tuple[Network, ...] = NETWORKS) -> dict[str, Any]:
    """Every figure of the page that is not published elsewhere; prints one line for each network."""
    needed()
    import torchinfo

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    macs, fields = [], []
    for network in networks:
        ours, params = our_macs(network)
        model, x = network.build(), torch.zeros(1, 3, network.side, network.side)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the others trace
            fvcore = _fvcore(model, x)
            summary = torchinfo.summary(model, input_data=x, verbose=0)
        found = {"ours": ours, "fvcore": fvcore, "torchinfo": int(summary.total_mult_adds)}
        print(f"{network.name}: {found}", flush=True)
        macs.append({"network": network.name, "side": network.side, "params": params, **found})
    for points in FIELDS:
        ours = our_fields(points)
        print(f"{points.published}: {ours[-1]}", flush=True)
        fields.append({"published": points.published, "network": points.network.name, "ours": ours})
        if points.strides_at_the_end:
            as_built = our_fields(replace(points, strides_at_the_end=False))
            fields[-1]["size as built"] = as_built[-1][0]
    versions = {name: version(name) for name in ("torch", "torchvision", *OTHERS)}
    return {"date": f"{date.today():%Y-%m-%d}", "versions": versions, "macs": macs, "fields": fields}


# --- the page


def tables(measured: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, str]:
    """What stands between each pair of marks of the page."""
    versions = ", ".join(f"{name} {number}" for name, number in measured["versions"].items())
    return {
        "macs": "\n".join(_macs_lines(measured, published)),
        "fields": "\n".join(_fields_lines(measured, published)),
        "resnets": _resnets(measured, published),
        "measured": f"Measured on {measured['date']} with {versions}.",
    }


def _giga(number: int) -> str:
    return f"{number / 1e9:.3f}"


def table_of_timm(published: Mapping[str, Any]) -> dict[tuple[str, int], float]:
    """Billions of multiply-adds in timm's table, by its name of the network and the side of the input."""
    return {(name, side): gmacs for name, side, gmacs, _ in published["macs"]["networks"]}


def _macs_lines(measured: Mapping[str, Any], published: Mapping[str, Any]) -> Iterator[str]:
    yield "| network | input | `account` | fvcore | fvcore, products alone | torchinfo | timm's table |"
    yield "| --- | --: | --: | --: | --: | --: | --: |"
    table = table_of_timm(published)
    for network, row in zip(NETWORKS, measured["macs"], strict=True):
        theirs = table.get((network.in_table or "", network.side))
        products = row["fvcore"]["products"]
        # fvcore rounds its count of an einsum
        same = abs(products - row["ours"]) <= 1e-6 * row["ours"]
        cells = [
            f"{network.name}{' (timm)' if network.library == 'timm' else ''}",
            f"{row['side']}²",
            _giga(row["ours"]),
            _giga(row["fvcore"]["total"]),
            "as `account`" if same else _giga(products),
            _giga(row["torchinfo"]),
            "" if theirs is None else f"{theirs:.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def _fields_lines(measured: Mapping[str, Any], published: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| network of the table | ours | last end point | size, published | size, ours | stride, both "
        "| end points with the same size and stride | with the same padding |"
    )
    yield "| --- | --- | --- | --: | --: | --: | --: | --: |"
    for points, row in zip(FIELDS, measured["fields"], strict=True):
        theirs = published["fields"]["networks"][points.published]
        pairs = list(zip(theirs.values(), row["ours"], strict=True))
        alike = sum(theirs[:2] == ours[:2] for theirs, ours in pairs)
        with_padding = [theirs[2] == ours[2] for theirs, ours in pairs if theirs[2] is not None]
        last, strides = pairs[-1], {pairs[-1][0][1], pairs[-1][1][1]}
        moved = ", strides moved" if points.strides_at_the_end else ""
        cells = [
            points.published,
            f"{points.network.name} ({points.network.library}{moved})",
            list(theirs)[-1],
            f"{last[0][0]:,}",
            f"{last[1][0]:,}",
            " and ".join(map(str, sorted(strides))),
            f"{alike} of {len(pairs)}",
            f"{sum(with_padding)} of {len(with_padding)}" if with_padding else "not published",
        ]
        yield f"| {' | '.join(cells)} |"


def _resnets(measured: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    """What the networks see whose strides were moved for the table, and what the published ones see."""
    rows = [row for row in measured["fields"] if "size as built" in row]
    theirs = [list(published["fields"]["networks"][row["published"]].values())[-1][0] for row in rows]
    names, ours, others = (
        f"{', '.join(words[:-1])} and {words[-1]}"
        for words in (
            [row["network"] for row in rows],
            [f"{row['size as built']:,}" for row in rows],
            [f"{size:,}" for size in theirs],
        )
    )
    return f"As torchvision builds them, {names} see {ours} pixels; the published ones see {others}."


def read(name: str, root: Path = ROOT) -> dict[str, Any]:
    """One of the two files of figures."""
    return json.loads((root / name).read_text(encoding="utf-8"))


def page(measured: Mapping[str, Any], published: Mapping[str, Any], text: str) -> str:
    """The page with its tables anew."""
    for mark, body in tables(measured, published).items():
        text = between(text, f"<!-- {mark} -->", f"<!-- /{mark} -->", body, PAGE)
    return text


def write_counters(from_record: bool = False, root: Path = ROOT) -> None:
    """Measure everything (unless ``from_record``) and write the page."""
    if not from_record:
        found = json.dumps(measure(), indent=1)
        found = re.sub(r"\[\s+([-\d.,\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", found)  # numbers
        (root / MEASURED).write_text(f"{found}\n", encoding="utf-8")
    path = root / PAGE
    text = page(read(MEASURED, root), read(PUBLISHED, root), path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
