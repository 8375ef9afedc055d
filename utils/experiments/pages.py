"""The parts of the book's pages that are written from the records, each between two marks."""

from __future__ import annotations


def with_part(text: str, name: str, part: str) -> str:
    """The page ``text`` with ``part`` between the marks of this name, in place of what stands there.

    ``ValueError`` unless both marks are there, once each.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page needs {begin} and {end}, once each")
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{part}\n\n{end}{rest.split(end)[1]}"
