"""Where the parameters, multiply-adds and activations of a network are, as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from utils.analysis.accounting import Account, LayerCost
from utils.course.palette import PALETTE

# one bar each: the column of the account, what it is called, and its units from large to small
BARS = {
    "params": ("parameters", ((1e6, "M"), (1e3, "k"), (1, ""))),
    "macs": ("multiply-adds", ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))),
    "bytes": ("activations", ((1e6, "MB"), (1e3, "kB"), (1, "B"))),
}
FILLS = [
    PALETTE.blue,
    PALETTE.orange,
    PALETTE.sky,
    PALETTE.vermillion,
    PALETTE.green,
    PALETTE.yellow,
    PALETTE.purple,
]
HATCHES = ["", "///", "..."]  # a second and third round through the colors
OTHER, GRAY = "other", "#b8bfc7"

# so many groups can still be told apart; a deeper level of the module paths is not shown by default
MOST_GROUPS = 16

# in inches: the width of the page, the length of a bar, from bar to bar; a bar takes 0.8 of that
WIDTH, BAR_LENGTH, PITCH, THICKNESS = 9.0, 7.2, 0.92, 0.8
# in inches: a character of a label at 9 points, and at 8 points as in upright ones; a line of them
CHARACTER, SMALL_CHARACTER, LINE = 0.072, 0.063, 0.15


@dataclass(frozen=True)
class _Group:
    name: str
    totals: dict[str, int]


def plot_account(
    account: Account,
    *,
    depth: int | None = None,
    group: Callable[[LayerCost], str] | None = None,
    columns: Sequence[str] = ("params", "macs", "bytes"),
    min_share: float = 0.02,
    title: str | None = None,
) -> Figure:
    """One bar of 100 % for each column of an account ("params", "macs", "bytes"), a segment for each group.

    A group is a layer that multiplies, with the layers behind it that do not (normalization, activation,
    pooling), cut to the first ``depth`` parts of its module path; by default as deep as leaves at most 16
    groups. Or ``group`` names the group of a row. Groups stand in the order of the network. Those below
    ``min_share`` in all bars are one, "other", at the end.

    Raises ``ValueError`` for an unknown column, a depth below 1, a share outside 0 to 1 and an account in
    which nothing is to be shown.
    """
    unknown = [column for column in columns if column not in BARS]
    if unknown or not columns:
        raise ValueError(f"columns are some of {', '.join(BARS)}, got {list(columns)!r}")
    if depth is not None and depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    if not 0 <= min_share < 1:
        raise ValueError(f"min_share must be at least 0 and below 1, got {min_share}")
    groups = _merged(_grouped(account, depth, group, columns), columns, min_share)
    sums = {column: sum(part.totals[column] for part in groups) for column in columns}
    if not all(sums.values()):
        empty = next(column for column in columns if not sums[column])
        raise ValueError(f"{account.model} has no {BARS[empty][0]} to show")

    looks = _looks(groups)
    labels = _short([part.name for part in groups])
    rows = -(-len(groups) // 6)
    figure = Figure(figsize=(WIDTH, 1.0 + PITCH * len(columns) + 0.24 * rows), layout="constrained")
    ax = figure.subplots()
    for place, column in enumerate(columns):
        left = 0.0
        for part, label, (color, hatch) in zip(groups, labels, looks, strict=True):
            share = part.totals[column] / sums[column]
            if share:
                ax.barh(
                    place, share, THICKNESS, left, color=color, hatch=hatch, edgecolor="white", linewidth=0.8
                )
                _write(ax, left + share / 2, place, label, share, color)
            left += share
    names = [f"{BARS[column][0]}\n{_amount(sums[column], BARS[column][1])}" for column in columns]
    ax.set_yticks(range(len(columns)), names)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="share of the network's total", title=title or account.model)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.grid(False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "top", "right"]].set_visible(False)
    patches = [
        Patch(facecolor=color, hatch=hatch, edgecolor="white", label=label)
        for label, (color, hatch) in zip(labels, looks, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(6, len(groups)), fontsize=9)
    return figure


def _grouped(
    account: Account, depth: int | None, group: Callable[[LayerCost], str] | None, columns: Sequence[str]
) -> list[_Group]:
    """The groups in the order in which their first layers run."""
    if group is not None:
        names = [group(row) for row in account]
    else:
        leaders, leader = [], None
        for row in account:
            if row.macs or leader is None or row.output_shape is None:
                leader = row.name
            leaders.append(leader)
        deepest = max((name.count(".") + 1 for name in leaders), default=1)
        levels = [depth] if depth else range(deepest, 0, -1)
        for level in levels:
            names = [".".join(name.split(".")[:level]) for name in leaders]
            if len(set(names)) <= MOST_GROUPS:
                break
    totals: dict[str, dict[str, int]] = {}
    for name, row in zip(names, account, strict=True):
        sums = totals.setdefault(name, dict.fromkeys(columns, 0))
        for column in columns:
            sums[column] += getattr(row, column)
    return [_Group(name, sums) for name, sums in totals.items()]


def _merged(groups: list[_Group], columns: Sequence[str], min_share: float) -> list[_Group]:
    """The groups that are large in some bar, and one of all others."""
    sums = {column: max(1, sum(part.totals[column] for part in groups)) for column in columns}
    kept, rest = [], dict.fromkeys(columns, 0)
    for part in groups:
        if any(part.totals[column] >= min_share * sums[column] and part.totals[column] for column in columns):
            kept.append(part)
        else:
            for column in columns:
                rest[column] += part.totals[column]
    return [*kept, _Group(OTHER, rest)] if any(rest.values()) else kept


def _looks(groups: Sequence[_Group]) -> list[tuple[str, str]]:
    """Color and hatching of each group."""
    looks = []
    for number, part in enumerate(groups):
        round_, place = divmod(number, len(FILLS))
        look = (FILLS[place], HATCHES[round_ % len(HATCHES)])
        looks.append((GRAY, "") if part.name == OTHER else look)
    return looks


def _short(names: Sequence[str]) -> list[str]:
    """Without the first parts of the paths, as far as the rest still tells the groups apart."""
    paths = [name.split(".") for name in names]
    while all(len(path) > 1 or path == [OTHER] for path in paths) and paths != [[OTHER]]:
        shorter = [path[1:] or path for path in paths]
        if len({".".join(path) for path in shorter}) < len(paths):
            break
        paths = shorter
    return [".".join(path) for path in paths]


def _write(ax: Axes, x: float, y: float, label: str, share: float, color: str) -> None:
    """Name and share in a segment: side by side or upright, whichever fits, or nothing."""
    room = share * BAR_LENGTH
    red, green, blue = to_rgb(color)
    # black or white, whichever has the better contrast (luminance by the sRGB coefficients, gamma taken as
    # 2.2)
    ink = "black" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.179 else "white"
    percent = f"{share:.0%}".replace("%", "\u2009%")
    style = {"ha": "center", "va": "center", "color": ink, "fontsize": 9, "linespacing": 1.1}
    backing = {"facecolor": color, "edgecolor": "none", "pad": 0.6}  # keeps hatching off the letters
    if room >= CHARACTER * max(len(label), 4) + 0.06:
        ax.text(x, y, f"{label}\n{percent}", bbox=backing, **style)
    elif room >= LINE + 0.03 and SMALL_CHARACTER * len(label) <= THICKNESS * PITCH:
        ax.text(x, y, label, rotation=90, bbox=backing, **{**style, "fontsize": 8})


def _amount(total: int, units: Sequence[tuple[float, str]]) -> str:
    """Three digits and a unit."""
    size, unit = next(((size, unit) for size, unit in units if total >= size), units[-1])
    return (
        f"{total / size:.3g} {unit}".strip() if total / size < 1000 else f"{total / size:,.0f} {unit}".strip()
    )
