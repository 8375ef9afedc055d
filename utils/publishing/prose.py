"""The numbers in a page's prose, each with the mark that stands behind it.

Prose is what a reader sees as text: not code, mathematics, comments, tags, targets of links, roles and
options of directives, nor what a command has written between two marks. Numbers of figures, tables and
sections, versions and identifiers are names and no numbers. Indented text counts as prose, for it continues
a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

HIDDEN, MARKED = "\ue000", "\ue001"  # stand in for what is no prose, and for a comment

# directives whose content is no text; in all others it is
VERBATIM = {
    *("code", "code-block", "code-cell", "sourcecode", "literalinclude", "include", "raw", "math", "mermaid"),
    *("graphviz", "image", "bibliography", "toctree", "eval-rst"),
}
FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d+\.)[ \t]+)?(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>[^`\n]*)$")
DIRECTIVE = re.compile(r"\{(?P<name>[\w:.-]+)\}")
WITH_A_PATH = {"figure"}  # directives whose argument is no text
OPTION = re.compile(r"[ \t>]*:[\w-]+:(?!`)")
FRONT_MATTER = re.compile(r"\A---\n.*?^---$", re.DOTALL | re.MULTILINE)

INLINE = r"""
  (?P<comment><!--.*?-->)
| \\{1,2}\(.*?\\{1,2}\) | \\{1,2}\[.*?\\{1,2}\]
| \\begin\{(?P<environment>\w+\*?)\}.*?\\end\{(?P=environment)\}
| (?P<kept>\\[^\w\s])
| (?P<literal>
    (?:\{[\w:.+-]+\})? (?P<ticks>`++) (?:(?!\n[ \t]*\n).)+? (?<!`)(?P=ticks)(?!`)
  | \$\$.+?\$\$
  | \$(?![\s$])(?:(?!\n[ \t]*\n)[^$\\]|\\.)+?(?<!\s)\$(?!\d)
  )
| (?P<ticks_alone>`+)
| <(?:https?|mailto):[^>\s]*> | https?://[^\s<>)\]]+
| <(?P<element>script|style|pre|code|kbd|svg|math)\b.*?</(?P=element)\s*> | </?[A-Za-z][^<>]*>
| (?<=\])\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?:\s+(?:"[^"]*"|'[^']*'))?\) | ^[ ]{0,3}\[[^\]\n]+\]:[^\n]*
| \{[.\#%][^{}\n]*\} | \{[\w-]+=[^{}\n]*\} | ^\([\w.-]+\)=
"""

DOTTED = r"[1-9]\d*(?:\.\d+)+[a-z]?"
TOOLS = (
    "Python|[Pp]y[Tt]orch|[Tt]orch|torchvision|[Nn]um[Pp]y|pandas|[Ss]ci[Pp]y|scikit-learn|timm|CUDA|cuDNN|"
    "Jupyter|JupyterLab|Jupyter Book|MyST|[Ss]phinx|MathJax|TensorFlow|Keras|JAX|Linux|Debian|Ubuntu|macOS|"
    "CC BY|CC BY-SA|[Vv]ersions?"
).replace(" ", r"\ ")
NAMES = re.compile(
    rf"""
  (?:\b(?:Fig|Sec|Eq|Tab|Ch|App)s?\.|\b(?:Figure|Table|[Ll]ab|[Ss]ection|Chapter|Equation|Exercise|Algorithm)s?|§§?)
  \s*\(?(?:{DOTTED}|\d+)(?:(?:,\s(?:{DOTTED}|\d+)(?=,|\sand\b|\sor\b))*,?\s(?:and|to|or)\s{DOTTED}|[–-]{DOTTED})?
  (?![\d.]*\s?%)
| ^\#{{1,6}}\s+{DOTTED}
| \b(?:{TOOLS})[ \xa0]?v?[<>=~≥≤]*{DOTTED}(?:(?:\s(?:to|and|or)\s|\s?[–-]\s?){DOTTED})?(?!\s?%)
| \bv\d+(?:\.\d+)+
| \b\d\d(?:0[1-9]|1[0-2])\.\d{{4,5}}(?:v\d+)?\b(?!\s?%)
| \b10\.\d{{4,9}}/\S+
""",
    re.VERBOSE | re.MULTILINE,
)

SIGN = r"(?:(?<![\w)])[+−-])?"
DIGITS = r"(?:\d{1,3}(?:[,\u202f]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
POWER = r"(?:e[+−-]?\d+|\s?[·×]\s?10[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"
# no part of a word, of a name with hyphens, or of a number in three parts
NUMBER = rf"(?<![\w.])(?<![A-Za-z][-–]){SIGN}{DIGITS}{POWER}(?!\.?\d)"
PERCENT = r"(?:[ \n\xa0\u202f-]?\\?%|[\s-]per[ \xa0]?cent(?:age)?\b)"
FIGURE = re.compile(
    rf"(?P<first>{NUMBER})(?P<unit>{PERCENT})?"
    rf"(?:(?:\s?(?:±|\+/-)\s?|\sto\s|[–-])(?P<second>{NUMBER})(?P<second_unit>{PERCENT})?)?"
)
UNIT = rf"[^\s\d.,;:!?()<>|{HIDDEN}{MARKED}]+"
BETWEEN = re.compile(rf"[*_)\]\"”’]*(?:\s?{UNIT}){{0,2}}[*_)\]\"”’]*[ \t\xa0\u202f]*(?={MARKED})")


class Span(NamedTuple):
    """Where something stands in a text."""

    start: int
    end: int


@dataclass(frozen=True)
class Figure:
    """A number as it is written, or two of them: mean and deviation, the two ends of a range.

    ``percent``: it stands before a sign of percent. ``owed``: the rule asks for a mark. ``mark``: what the
    comment behind it says.
    """

    written: str
    numbers: tuple[str, ...]
    percent: bool
    line: int
    span: Span
    owed: bool
    mark: str | None = None


@dataclass(frozen=True)
class Prose:
    """What a text has of figures, and of comments that stand behind no figure (their place and text)."""

    figures: tuple[Figure, ...]
    loose: tuple[tuple[int, str], ...]


def read_prose(text: str, generated: Sequence[tuple[str, str]] = ()) -> Prose:
    """The figures in the prose of a Markdown text.

    ``generated``: regular expressions for the comments between which a command writes.
    """
    masked, comments, literals = _masked(text, generated)
    figures = []
    unused = dict(comments)
    for match in FIGURE.finditer(masked):
        gap = BETWEEN.match(masked, match.end())
        mark = unused.pop(gap.end(), None) if gap else None
        figures.append(_figure(match, text, match.start(), mark))
    for end, literal in literals.items():  # nobody asks for their marks, but one may be there
        gap = BETWEEN.match(masked, end)
        inner = FIGURE.fullmatch(re.sub(r"^\$+|\$+$|^`+|`+$|\\[, ]|\\(?=%)", "", literal).strip())
        if gap and inner and gap.end() in unused:
            mark = unused.pop(gap.end())
            figures.append(_figure(inner, text, end - len(literal), mark, end))
    return Prose(
        tuple(sorted((one for one in figures if one.owed or one.mark is not None), key=lambda one: one.span)),
        tuple(sorted(unused.items())),
    )


def visible_text(text: str, generated: Sequence[tuple[str, str]] = ()) -> str:
    """The text at its places, with all that is no prose covered by signs that are no letters."""
    return _masked(text, generated)[0]


def starts_a_line(text: str, place: int) -> bool:
    """Whether only blanks stand before this place: a comment there swallows the rest of the line."""
    return not text[text.rfind("\n", 0, place) + 1 : place].strip(" \t>")


def _figure(match: re.Match[str], text: str, start: int, mark: str | None, end: int | None = None) -> Figure:
    numbers = tuple(number for number in (match["first"], match["second"]) if number)
    percent = bool(match["unit"] or match["second_unit"])
    span = Span(start, match.end() if end is None else end)
    return Figure(
        written=" ".join(text[slice(*span)].split()),
        numbers=numbers,
        percent=percent,
        line=_line(text, start),
        span=span,
        owed=end is None and (percent or any("." in number for number in numbers)),
        mark=mark,
    )


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _masked(text: str, generated: Sequence[tuple[str, str]]) -> tuple[str, dict[int, str], dict[int, str]]:
    """The text with everything but prose covered, at the same places; comments by start, literals by end."""
    covered = list(text)

    def cover(start: int, end: int, sign: str = HIDDEN) -> None:
        covered[start:end] = ("\n" if letter == "\n" else sign for letter in text[start:end])

    for span in _fenced(text):
        cover(*span)
    fenceless = "".join(covered)
    comments, literals = {}, {}
    for match in _inline(generated).finditer(fenceless):
        if match["comment"] and match["generated"] is None:
            cover(*match.span(), MARKED)
            comments[match.start()] = " ".join(match["comment"][4:-3].split())
        elif match["kept"] is None and match["ticks_alone"] is None:
            cover(*match.span())
            if match["literal"]:
                literals[match.end()] = match["literal"]
    half = "".join(covered)
    for match in NAMES.finditer(half):
        cover(*match.span())
    return "".join(covered), comments, literals


def _inline(generated: Sequence[tuple[str, str]]) -> re.Pattern[str]:
    blocks = "|".join(rf"(?:{begin}).*?(?:{end})" for begin, end in generated)
    # escaped for the verbose form, in which blanks and number signs mean nothing
    blocks = re.sub(r"([ #])", r"\\\1", blocks) or r"(?!)"
    return re.compile(rf"(?P<generated>{blocks})|{INLINE}", re.DOTALL | re.MULTILINE | re.VERBOSE)


def _fenced(text: str) -> Iterator[Span]:
    """Fenced code, and of directives with text in them the lines that are none: fences and options."""
    front = FRONT_MATTER.match(text)
    if front:
        yield Span(*front.span())
    open_fences: list[tuple[str, bool]] = []  # the fence, and whether its content is no text
    options = False  # whether the lines of a directive's options may follow
    place = 0
    for line in text.splitlines(keepends=True):
        whole, place = Span(place, place + len(line)), place + len(line)
        fence = FENCE.match(line.rstrip("\r\n"))
        closes = bool(
            fence
            and open_fences
            and not fence["info"].strip()
            and fence["fence"].startswith(open_fences[-1][0])
        )
        if closes:
            open_fences.pop()
            yield whole
        elif open_fences and open_fences[-1][1]:
            yield whole
        elif fence:
            directive = DIRECTIVE.match(fence["info"].strip())
            name = directive["name"] if directive else ""
            plain = not directive and fence["fence"][0] != ":"
            open_fences.append((fence["fence"], plain or name in VERBATIM))
            if plain or name in VERBATIM | WITH_A_PATH or not directive:
                yield whole
            else:  # the argument of a directive is its title
                yield Span(whole.start, whole.start + line.index("}") + 1)
            options = bool(directive)
            continue
        elif options and OPTION.match(line):
            yield whole
            continue
        options = False
