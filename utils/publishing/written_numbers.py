"""Numbers as text: how a value is written in a format, digit by digit, and arithmetic that stays exact."""

from __future__ import annotations

import ast
import importlib
import math
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

Number = float | Fraction
FORMAT = re.compile(r"(?=.)(?P<whole>,)?(?:\.(?P<digits>\d{1,2}))?(?P<scale>[%ekMGmµ])?")
SCALES = {"%": 100.0, "k": 1e-3, "M": 1e-6, "G": 1e-9, "m": 1e3, "µ": 1e6}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")


def normal(written: str) -> str:
    """The digits of a number without what is a matter of typography."""
    text = re.sub(r"[\s,]", "", written).replace("−", "-").removeprefix("+")
    mantissa, _, power = re.sub(r"[·×]10", "e", text).translate(SUPERSCRIPTS).partition("e")
    mantissa = re.sub(r"^(-?)0(?=\.)", r"\1", mantissa)
    return f"{mantissa}e{int(power)}" if power else mantissa


def formatted(value: Number, shape: str) -> str:
    """A value in a format of the marks: ``.1%`` of 0.9206 is 92.1."""
    asked = FORMAT.fullmatch(shape)
    if not asked or (asked["whole"] and asked["digits"]):
        raise ValueError(f"{shape!r} is no format, such as .2 or .1%")
    digits, scale = int(asked["digits"] or 0), asked["scale"] or ""
    if not math.isfinite(value):
        raise ValueError(f"the value is {float(value)}, which cannot be written")
    if scale == "e":
        return f"{float(value):.{digits}e}".replace("-", "−")
    return f"{float(value) * SCALES.get(scale, 1.0):z.{digits}f}".replace("-", "−")


def exact(value: Fraction, percent: bool = False) -> str:
    """The decimals of a value, or of a hundred times it; ``ValueError`` if they have no end."""
    value = value * 100 if percent else value
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        raise ValueError(f"{value} has no end as a decimal: say in which format it is written")
    return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}".replace("-", "−")


def rounded_as(printed: str, written: str) -> str:
    """The printed number; where fewer decimals are written, rounded to those."""
    if "e" in normal(printed) or "e" in normal(written):
        return printed
    value, decimals = Decimal(normal(printed)), len(normal(written).partition(".")[2])
    if decimals >= len(normal(printed).partition(".")[2]):
        return printed
    step = Decimal(1).scaleb(-decimals)
    rounded = {str(value.quantize(step, way)) for way in (ROUND_HALF_EVEN, ROUND_HALF_UP)}
    fits = [each for each in rounded if normal(each) == normal(written)]
    return fits[0] if fits else min(rounded)


OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
FUNCTIONS = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp}
LARGEST_POWER = 64


def calculate(expression: str) -> Number:
    """The value of arithmetic with literals, ``sqrt``, ``log``, ``exp`` and constants of ``utils``.

    Exact where no root, logarithm or exponential is taken. A lone literal is refused: it binds nothing.
    ``SyntaxError`` if it is no expression, ``ValueError`` for anything else in it.
    """
    tree = ast.parse(expression.strip(), mode="eval").body
    if isinstance(tree, ast.Constant) or (
        isinstance(tree, ast.UnaryOp) and isinstance(tree.operand, ast.Constant)
    ):
        raise ValueError(
            f"{expression.strip()!r} is a number and no calculation: it binds the figure to itself"
        )
    try:
        return _value(tree)
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"{expression.strip()!r} has no value: {error}") from None


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Fraction(repr(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            a, b = _value(left), _value(right)
            if isinstance(sign, ast.Pow) and abs(b) > LARGEST_POWER:
                raise ValueError(f"a power of {b} is too large")
            result = OPERATORS[type(sign)](a, b)
            if isinstance(result, complex):
                raise ValueError(f"{ast.unparse(node)} is no real number")
            return result
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](_value(argument))
        case ast.Attribute():
            return _constant(ast.unparse(node))
    raise ValueError(f"{ast.unparse(node)!r} is neither number nor arithmetic")


def _constant(path: str) -> Number:
    """A number that stands in a module of ``utils`` under a name in capitals."""
    module, _, name = path.rpartition(".")
    if not re.fullmatch(r"utils(\.[a-z]\w*)+", module) or not name.isupper():
        raise ValueError(f"{path!r} is no constant, such as utils.experiments.differences.LEVEL")
    try:
        value = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ValueError(f"there is no {path}") from None
    return Fraction(repr(number(value, path)))


def number(value: Any, name: str) -> float:
    """The value if it is a number; ``ValueError`` with its name if it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number but {str(value)[:40]!r}")
    return value
