"""The code behind the measured functions of a lab, read from its cells without running them.

A measured function rests on its own syntax tree and on all that it uses of the cells above its call: what
they define or change by name, and so on from there. Docstrings, comments and layout do not count. What a
function does to its arguments is not looked into: ``fit``, functions whose name begins with ``train`` and
those whose name ends in ``_``, as in torch, are taken to change them, all others not.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from utils.course.profiles import PROFILES

LAB, DECORATOR, START = "lab", "measured", "start_lab"
SIZES = f"{LAB}.sizes"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
SCOPES = (*DEFINITIONS, ast.Lambda)


@dataclass(frozen=True)
class MeasuredCode:
    """A measured function: what it rests on, as name → digest, or value for a size of the profile quick."""

    name: str
    code: dict[str, str]


@dataclass
class _Statement:
    """A statement at the top level of a cell, and the names that it binds, changes, may change and uses."""

    node: ast.stmt
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    touches: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, ast.Import | ast.ImportFrom)


def measured_code(cells: Sequence[str]) -> list[MeasuredCode]:
    """The measured functions of a lab in the order of their definition; ``cells``: the code cells' sources.

    ``ValueError`` where a function breaks one of the rules of :func:`measured_problems`.
    """
    if found := measured_problems(cells):
        raise ValueError("; ".join(found))
    if not _mentioned(cells):
        return []
    statements = _statements(cells)
    table = _sizes_table(statements)
    found = []
    for node in _measured(statements):
        at, call = _calls(statements, node.name)[0]
        reached = _reached(statements, {node.name, *_names(call)[0]}, at)
        found.append(MeasuredCode(node.name, _digests(statements, reached, call, table)))
    return found


def measured_problems(cells: Sequence[str]) -> list[str]:
    """What is wrong with the measured functions of a lab, one sentence each."""
    if not _mentioned(cells):
        return []
    statements = _statements(cells)
    functions = _measured(statements)
    names = [node.name for node in functions]
    found = [
        f"two measured functions are called {name}" for name in sorted(set(names)) if names.count(name) > 1
    ]
    everywhere = [node for one in statements for node in ast.walk(one.node)]
    if sum(map(_is_decorator, everywhere)) > len(functions):
        found.append(
            f"{LAB}.{DECORATOR} belongs above a function at the top level of a cell, and nowhere else"
        )
    for node in functions:
        calls = _calls(statements, node.name)
        anywhere = [one for one in everywhere if _is_call_of(one, node.name)]
        if len(calls) != 1 or len(anywhere) != 1:
            found.append(
                f"{node.name} is measured, so it must be called once, outside of functions; it is called "
                f"{len(anywhere)} times, {len(calls)} of them outside of functions"
            )
        elif _place(statements, node) > calls[0][0]:
            found.append(f"{node.name} is called above its definition")
        if any(_is_sizes(inner) for inner in ast.walk(node)):
            found.append(f"{node.name} reads {SIZES}: a size is an argument, so that the record can name it")
    return found


def _mentioned(cells: Sequence[str]) -> bool:
    """Whether the lab can have measured functions at all: to read one without would take a quarter second."""
    return any(f"{LAB}.{DECORATOR}" in source for source in cells)


def _statements(cells: Sequence[str]) -> list[_Statement]:
    """The statements of all cells in order; an import of several names is split, one for each."""
    found = []
    for source in cells:
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import):
                found += [_statement(ast.Import([alias])) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [_statement(ast.ImportFrom(node.module, [one], node.level)) for one in node.names]
            else:
                found.append(_statement(node))
    return found


def _statement(node: ast.stmt) -> _Statement:
    uses, assigned = _names(node)
    statement = _Statement(node, uses=uses)
    if isinstance(node, (*DEFINITIONS, ast.Import, ast.ImportFrom)):
        statement.binds = assigned
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        statement.binds = _names_of(targets)[1]
    statement.changes = assigned - statement.binds
    for inner in _without_scopes(node):
        if isinstance(inner, ast.Attribute | ast.Subscript) and isinstance(inner.ctx, ast.Store | ast.Del):
            statement.changes |= {_root(inner)} - {None}
        elif isinstance(inner, ast.Call) and _writes(_last_name(inner.func)):
            statement.touches |= {_root(argument) for argument in inner.args} - {None}
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call):
            statement.touches |= {_root(inner.value.func)} - {None}
    return statement


def _names(node: ast.AST) -> tuple[set[str], set[str]]:
    """Names of the scope around a node that it reads, also later in a function, and those that it binds.

    Python's own ``symtable`` says it in another way in each version, and a digest must be the same in all.
    """
    match node:
        case ast.Name():
            return ({node.id}, set()) if isinstance(node.ctx, ast.Load) else (set(), {node.id})
        case ast.alias():
            return set(), {node.asname or node.name.split(".")[0]}
        case ast.AugAssign(target=ast.Name()):
            reads, binds = _names(node.value)
            return reads | {node.target.id}, binds | {node.target.id}
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            return _names_of_function(node)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return _names_of_comprehension(node)
    reads, binds = _names_of(ast.iter_child_nodes(node))
    if isinstance(node, ast.ClassDef):
        return reads, {node.name}
    named = {getattr(node, "name", None), getattr(node, "rest", None)}  # of handlers and patterns
    return reads, binds | {name for name in named if isinstance(name, str)}


def _names_of(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    both = [_names(node) for node in nodes]
    return set().union(*(reads for reads, _ in both)), set().union(*(binds for _, binds in both))


def _names_of_function(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
    body = node.body if isinstance(node.body, list) else [node.body]
    reads, local = _names_of(body)
    arguments = node.args
    local |= {one.arg for one in ast.walk(arguments) if isinstance(one, ast.arg)}
    local -= {name for one in body for n in ast.walk(one) if isinstance(n, ast.Global) for name in n.names}
    outside = [one for one in (*arguments.defaults, *arguments.kw_defaults) if one is not None]
    outside += [*getattr(node, "decorator_list", []), *filter(None, [getattr(node, "returns", None)])]
    outside += [n.annotation for n in ast.walk(arguments) if isinstance(n, ast.arg) and n.annotation]
    read, bound = _names_of(outside)
    return read | (reads - local), bound | ({node.name} if hasattr(node, "name") else set())


def _names_of_comprehension(node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
    first, *others = node.generators
    # the first iterable is read outside
    read, bound = _names(first.iter)
    inside = [*first.ifs, *(part for one in others for part in (one.iter, *one.ifs))]
    inside += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    local = _names_of(one.target for one in node.generators)[1]
    reads, walrus = _names_of(inside)
    return read | (reads - local), bound | walrus


def _without_scopes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement that are run with it: those of functions in it wait for a call."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        if not isinstance(inner, SCOPES):
            yield inner
            waiting += ast.iter_child_nodes(inner)


def _reached(statements: Sequence[_Statement], names: set[str], at: int) -> dict[str, set[int]]:
    """For each name on which a call in statement ``at`` rests, the statements that made it what it is."""
    waiting, seen = [(name, at) for name in names], set()
    reached: dict[str, set[int]] = {}
    while waiting:
        name, before = waiting.pop()
        if name == LAB or (name, before) in seen:
            continue
        seen.add((name, before))
        made = _made_by(statements, name, before) or _made_by(statements, name, at)
        for number in made:
            reached.setdefault(name, set()).add(number)
            node = statements[number].node
            # what a function uses is looked up when it is called, all else where it stands
            moment = before if isinstance(node, DEFINITIONS) else number
            waiting += [(other, moment) for other in statements[number].uses]
    return reached


def _made_by(statements: Sequence[_Statement], name: str, before: int) -> list[int]:
    """The statements before one that bind or change a name, back to the last that binds it anew."""
    changing, touching = [], []
    for number in range(before - 1, -1, -1):
        statement = statements[number]
        if name in statement.binds:
            # plt.show() changes nothing of what is measured, net.eval() does
            return [number, *changing] if statement.is_import else [number, *changing, *touching]
        if name in statement.changes:
            changing.append(number)
        elif name in statement.touches:
            touching.append(number)
    return changing


def _digests(
    statements: Sequence[_Statement],
    reached: dict[str, set[int]],
    call: ast.Call,
    table: dict[str, Any] | None,
) -> dict[str, str]:
    imported, code = set(), {}
    for name, numbers in reached.items():
        imported |= {ast.unparse(statements[n].node) for n in numbers if statements[n].is_import}
        own = [statements[n].node for n in sorted(numbers) if not statements[n].is_import]
        if own:
            code[name] = _digest([_tree(node) for node in own])
    if imported:
        code["imports"] = _digest(sorted(imported))
    code["the call"] = _digest([_tree(argument) for argument in (*call.args, *call.keywords)])
    nodes = [call, *(statements[n].node for numbers in reached.values() for n in numbers)]
    return {**code, **_sizes_in(nodes, table or {})}


def _sizes_in(nodes: Sequence[ast.AST], table: dict[str, Any]) -> dict[str, str]:
    """The values in the profile quick of the sizes that these nodes read; of all where one reads them all."""
    inner = [one for node in nodes for one in ast.walk(node)]
    named = [one for one in inner if isinstance(one, ast.Attribute) and _is_sizes(one.value)]
    whole = sum(map(_is_sizes, inner)) > len(named)
    names = sorted(table) if whole else sorted({one.attr for one in named} & set(table))
    return {f"{SIZES}.{name}": table[name] for name in names}


def _sizes_table(statements: Sequence[_Statement]) -> dict[str, str]:
    """name of a size → its value in the profile quick, as it stands in the call of start_lab."""
    for statement in statements:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Call) and _last_name(node.func) == START:
                return {key.arg: _quick(key.value) for key in node.keywords if key.arg}
    return {}


def _quick(node: ast.expr) -> str:
    values = node.elts if isinstance(node, ast.Tuple | ast.List) else []
    chosen = values[PROFILES.index("quick")] if len(values) == len(PROFILES) else node
    return ast.unparse(chosen)


def _measured(statements: Sequence[_Statement]) -> list[ast.FunctionDef]:
    return [
        one.node
        for one in statements
        if isinstance(one.node, ast.FunctionDef) and any(map(_is_decorator, one.node.decorator_list))
    ]


def _is_decorator(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == DECORATOR
        and isinstance(node.value, ast.Name)
        and node.value.id == LAB
    )


def _is_sizes(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == SIZES


def _is_call_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _calls(statements: Sequence[_Statement], name: str) -> list[tuple[int, ast.Call]]:
    """The calls of a function outside of functions, each with the number of its statement."""
    return [
        (number, node)
        for number, statement in enumerate(statements)
        for node in _without_scopes(statement.node)
        if _is_call_of(node, name)
    ]


def _place(statements: Sequence[_Statement], node: ast.stmt) -> int:
    return next(number for number, one in enumerate(statements) if one.node is node)


def _root(node: ast.AST) -> str | None:
    """The name at which a chain of attributes, items and calls begins."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _writes(function: str) -> bool:
    return function == "fit" or function.startswith("train") or function.endswith("_")


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _tree(node: Any) -> Any:
    """A syntax tree as lists, the same in every version of Python: without positions and docstrings."""
    if isinstance(node, list):
        return [_tree(entry) for entry in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if (
            name == "body"
            and isinstance(node, DEFINITIONS)
            and ast.get_docstring(node, clean=False) is not None
        ):
            value = value[1:]
        if value is None or value == [] or name in ("ctx", "type_comment", "kind"):
            continue  # newer versions have more fields, and leave out what is empty
        fields.append([name, _tree(value)])
    return [type(node).__name__, *fields]
