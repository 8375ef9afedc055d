"""Plain values survive a record: the same types, order, shapes and dtypes, floats to six digits."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.course.plain import as_json, from_json
from utils.experiments import records

DTYPES = ["bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64"]
ARRAYS = st.sampled_from(DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0)))
TENSORS = st.sampled_from(["bool", "uint8", "int64", "float16", "float32", "float64"]).flatmap(
    lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0)).map(torch.tensor)
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ARRAYS | TENSORS
KEYS = st.text() | st.integers() | st.floats(allow_nan=False) | st.tuples(st.integers(), st.text())
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(one, other, digits=None):
    """Whether two values agree in types, order and, to so many digits, numbers; nan agrees with nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        # compared in order
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(same(a, b) and same(x, y, digits) for (a, x), (b, y) in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*both, digits) for both in zip(one, other, strict=True))
    if isinstance(one, np.ndarray | torch.Tensor):
        return (one.dtype, one.shape) == (other.dtype, other.shape) and same(
            one.tolist(), other.tolist(), digits
        )
    if isinstance(one, float) and digits and math.isfinite(one):
        return abs(one - other) <= abs(one) * 0.5000001 * 10 ** (1 - digits) + 5e-324
    return repr(one) == repr(other)


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_a_value_comes_back_exactly_where_it_is_not_rounded(value):
    text = records.as_text(as_json(value, digits=None))
    assert same(value, from_json(records.parsed(text)))


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_rounding_is_to_six_digits_and_only_once(value):
    text = json.dumps(as_json(value), allow_nan=False)
    once = from_json(json.loads(text))
    if "float16" not in text and "float32" not in text:  # whose own digits are fewer
        assert same(value, once, digits=6)
    assert same(from_json(as_json(once)), once), "what was rounded once stays as it is"


def test_what_stands_in_the_file():
    value = {"b": (1, math.nan), "a": [0.123456789, -math.inf], 8: np.float32(2.5)}
    assert as_json(value) == {
        "$dict": [
            ["b", {"$tuple": [1, {"$float": "nan"}]}],
            ["a", [0.123457, {"$float": "-inf"}]],
            [8, 2.5],
        ]
    }
    assert as_json({"b": 1, "a": 2}) == {"$order": ["b", "a"], "b": 1, "a": 2}
    assert as_json({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert as_json(torch.tensor([[1.0, math.inf]])) == {
        "$tensor": "float32",
        "shape": [1, 2],
        "values": [[1.0, "inf"]],
    }
    assert as_json(0.05 + 1e-12) == 0.05 and as_json(1234567) == 1234567 and as_json(1234567.0) == 1234570.0


def test_a_tensor_loses_its_graph_and_bfloat16_keeps_its_digits():
    weight = torch.nn.Parameter(torch.tensor([0.1, 3.0]).bfloat16())
    back = from_json(as_json(weight))
    assert back.dtype == torch.bfloat16 and not back.requires_grad and torch.equal(back, weight.detach())


@pytest.mark.parametrize(
    "value, complaint",
    [
        ({"mlp": [1, object()]}, r"found\['mlp'\]\[1\] is of type builtins.object"),
        ({"a": {1, 2}}, r"found\['a'\] is of type builtins.set"),
        (np.array(["a"]), "an array of str"),
        (torch.zeros(2, dtype=torch.complex64), "a tensor of complex64"),
        (1j, "builtins.complex"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(value, complaint):
    with pytest.raises(ValueError, match=complaint):
        as_json(value, "found")


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="more than 20 levels"):
        as_json(endless)


@pytest.mark.parametrize(
    "value",
    [
        {"$unknown": 1},
        {"$float": "much"},
        {"$array": "object", "shape": [1], "values": [1]},
        {"$array": "float32", "shape": [3], "values": [1]},
        {"$order": ["a"], "b": 1},
        {"$tuple": 3},
        {"$dict": [[1]]},
        {"$tensor": "load", "shape": [1], "values": [1]},
    ],
)
def test_a_spoiled_value_is_an_error(value):
    with pytest.raises(ValueError, match="is not a value that was written here"):
        from_json(value)
