"""The theoretical receptive field of every layer, as a table. See :mod:`utils.analysis.receptive_field`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from utils.analysis.modules import plain_numbers, suggestion
from utils.analysis.receptive_field.extent import Extent, measure
from utils.analysis.receptive_field.layer_field import LayerField, PerAxis, tidy
from utils.analysis.receptive_field.picture import draw_field
from utils.analysis.receptive_field.tracing import Output, trace_fields
from utils.analysis.text_table import TextTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLUMNS = ("name", "type", "output_size", "size", "jump", "start", "clipped")


class ReceptiveFields(list[LayerField]):
    """The rows in the order in which the layers end.

    They print as text, show as HTML, and ``to_frame()`` is for pandas. ``fields["layer1.0"]`` finds a row by
    module path, also of modules that have no row in the list because their output is that of the last layer
    in them. ``fields[:5]`` is a shorter table, ``fields.plot("layer1.0")`` a picture.
    """

    def __init__(
        self,
        rows: Sequence[LayerField],
        model: str,
        input_size: tuple[int, ...],
        modules: dict[str, LayerField],
    ):
        super().__init__(rows)
        self.model, self.input_size, self.modules = model, input_size, modules

    def __getitem__(self, key: Any) -> Any:
        """A row by number or by module path (its first call); a table of some rows by slice.

        Raises ``KeyError`` with the nearest names for a path that did not run.
        """
        if isinstance(key, slice):
            return ReceptiveFields(super().__getitem__(key), self.model, self.input_size, self.modules)
        if not isinstance(key, str):
            return super().__getitem__(key)
        for row in self:
            if row.name == key:
                return row
        if key in self.modules:
            return self.modules[key]
        names = list(dict.fromkeys([*(row.name for row in self), *self.modules]))
        raise KeyError(f"{self.model} ran no layer named {key!r}; {suggestion(key, names)}")

    def plot(self, layer: str, unit: Sequence[int] | None = None) -> Figure:
        """The field of one unit of a layer, drawn over the input; by default that of the middle unit.

        Filled is what the unit sees of the input; a dashed frame shows where the field goes on beyond it.
        Dots are the centers of the fields of all units, if these are few enough to be told apart. Inputs with
        one dimension are drawn as a strip. Raises ``KeyError`` for an unknown layer, ``ValueError`` for a
        unit that is not there and for inputs with more than two dimensions.
        """
        return draw_field(self[layer], self.model, self.input_size, unit)

    def to_frame(self) -> pd.DataFrame:
        """A data frame with one line for each row."""
        import pandas as pd

        return pd.DataFrame([[getattr(row, column) for column in COLUMNS] for row in self], columns=COLUMNS)

    def __str__(self) -> str:
        return self._table().text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> TextTable:
        body = [
            (
                row.name,
                row.type,
                _by(row.output_size),
                *(_text(value) for value in (row.size, row.jump, row.start, row.clipped)),
            )
            for row in self
        ]
        return TextTable(
            title=f"receptive fields of {self.model} on an input of {_by(self.input_size)}, in input pixels",
            header=("name", "type", "output", "size", "jump", "start", "clipped"),
            body=body,
        )


def receptive_field(
    model: nn.Module, input_size: Sequence[int], *, ignore_gates: bool = False
) -> ReceptiveFields:
    """The receptive field of every layer that runs, see :class:`LayerField`.

    ``input_size`` is ``(C, H, W)``; ``(C, L)`` and ``(C, D, H, W)`` work as well. A row is a module without
    children, or one that computes something itself (such as the sum of a residual block), then under its
    name. With ``ignore_gates=True`` a factor that is computed from the whole map and multiplies all of it, as
    in squeeze and excitation, does not count: what remains is the field of the convolutions.

    The model, its training flags and its hooks are as before afterwards.

    Raises ``ValueError`` with the place in the network: for an operation without a rule, for a choice that
    depends on values, for paths that meet with different jumps, and if the network fails on such an input.
    """
    size = _checked_size(input_size)
    traced = trace_fields(model, size, ignore_gates)
    extents: dict[int, tuple[Extent, ...]] = {}  # by identity of the field, which many layers share

    def row(output: Output) -> LayerField:
        found = extents.get(id(output.field)) or extents.setdefault(id(output.field), measure(output.field))
        return _row(output, found, size)

    rows, modules = [row(output) for output in traced.rows], map(row, traced.modules.values())
    return ReceptiveFields(rows, type(model).__name__, size, {row.name: row for row in modules})


def _row(output: Output, extents: Sequence[Extent], size: tuple[int, ...]) -> LayerField:
    # the whole input has its middle where the input has it
    starts = [
        ((n - 1) / 2 if math.isinf(extent.size) else math.nan) if extent.start is None else extent.start
        for extent, n in zip(extents, size[1:], strict=True)
    ]
    return LayerField(
        output.name,
        output.type,
        output.shape,
        _per_axis([extent.size for extent in extents]),
        _per_axis([math.nan if extent.jump is None else float(extent.jump) for extent in extents]),
        _per_axis(starts),
        _per_axis([extent.clipped for extent in extents]),
        output.field,
    )


def _per_axis(values: Sequence[float]) -> PerAxis:
    """One number if all axes have the same, otherwise one for each."""
    numbers = tuple(tidy(value) for value in values)
    same = len(set(numbers)) == 1 or all(math.isnan(number) for number in numbers)
    return numbers[0] if same else numbers


def _text(value: PerAxis) -> str:
    if isinstance(value, tuple):
        return " × ".join(_text(part) for part in value)
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:,.10g}"


def _by(size: Sequence[int]) -> str:
    return "×".join(str(side) for side in size) or "scalar"


def _checked_size(input_size: Any) -> tuple[int, ...]:
    if isinstance(input_size, Tensor):
        raise ValueError(
            f"input_size must be (C, H, W), got a tensor {list(input_size.shape)}: give tuple(x.shape[1:])"
        )
    size = plain_numbers(input_size)
    if not isinstance(size, tuple) or len(size) < 2 or any(type(n) is not int or n < 1 for n in size):
        raise ValueError(f"input_size must be (C, H, W), as (3, 32, 32), got {input_size!r}")
    return size
