"""Which numbers of a page are prose, and which mark stands behind each."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from utils.publishing.bound_numbers import GENERATED
from utils.publishing.notebooks import ROOT, labs, read
from utils.publishing.prose import Figure, read_prose, starts_a_line


def owed(text, generated=()):
    """The figures that need a mark, as they are written."""
    return [figure.written for figure in read_prose(text, generated).figures if figure.owed]


def marked(text):
    """Figure and mark, for each figure that has one."""
    return [(figure.written, figure.mark) for figure in read_prose(text).figures if figure.mark is not None]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("It is .1, 0.53 and 92.06 of 100.", [".1", "0.53", "92.06"]),
        ("It is 30 %, 30%, 5 per cent, 5 percent, 3 percentage points.", None),
        ("It fell by −0.5, by -0.25 and rose by +.11 points.", ["−0.5", "-0.25", "+.11"]),
        ("4,000 images, 1,234.5 of them; 1.5·10⁻³ and 2.5e-3, but 10⁻⁴", ["1,234.5", "1.5·10⁻³", "2.5e-3"]),
        ("90 ± 2 %, 0.467 ± 0.222, 3 ± 1", ["90 ± 2 %", "0.467 ± 0.222"]),
        ("12–20 %, 5 to 15 %, from 42.0 to 42.2, 3 to 5", ["12–20 %", "5 to 15 %", "42.0 to 42.2"]),
        ("a width of 0.5×, 25.6M parameters, (0.3), 3×3, VGG-16", ["0.5", "25.6", "0.3"]),
        ("| a | 0.5 |\n| 30 % | 1 |", ["0.5", "30 %"]),
        ("A sentence ends with 3.\n\n1. First\n2. Second", []),
    ],
)
def test_numbers_of_interest_are_decimals_and_percentages(text, expected):
    whole = ["30 %", "30%", "5 per cent", "5 percent", "3 percentage"]
    assert owed(text) == (whole if expected is None else expected)


@pytest.mark.parametrize(
    "text",
    [
        "Figure 7.3, Figures 7.3 and 7.4, Fig. 4.1, Table 2.1, Lab 7.2, lab 7.2, section 3.1, §§ 3.1–3.4",
        "Exercise 8.1: a title. **Figure 7.1.** A line.",
        "## 3.1 A title",
        "Python 3.11 to 3.13, torch 2.6, NumPy 2.4.6, v1.2, version 2.0, CC BY 4.0, CUDA ≥12.1",
        "arXiv:1502.03167, arXiv 2201.03545v2, doi 10.1109/5.726791",
        "runs bn-0.001 and plain-0.0005, GPT-3.5, file_0.5, 1.2.3",
        "2026-11-29, 4,000 of 50,000, n = 3",
    ],
)
def test_names_are_no_numbers(text):
    assert owed(text) == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("In torch 0.1, elsewhere 0.9.", ["0.1", "0.9"]),  # no version begins with 0 here
        ("The figure 92.06 % of Table 2.1, 2.95 MB", ["92.06 %", "2.95"]),
        ("In Figure 7.3 12.5 % are wrong", ["12.5 %"]),
    ],
)
def test_a_number_beside_a_name_is_one(text, expected):
    assert owed(text) == expected


NUMBERS = st.sampled_from(["0.5", ".25", "92.06", "30 %", "7.5e-3", "1,234.5", "−0.5"])
WORDS = st.sampled_from(
    ["about", "of the images,", "which *is*", "**more**", "(so)", "a_b", "5 and", r"\$", r"\`"]
)
INLINE = st.sampled_from(
    [
        "`lr={}`",
        "``a ` {}``",
        "`a ``` {}`",
        "${}$",
        "$$x = {}$$",
        r"\(x = {}\)",
        r"\\({}\\)",
        "<!-- TODO {} -->",
        "[text](https://example.org/{}/a_(b))",
        '<img alt="{}" width="{}">',
        "<https://example.org/{}>",
        "https://example.org/{}",
        "{{cite:t}}`he {}`",
        "<code>x {}</code>",
    ]
)
BLOCKS = st.sampled_from(
    [
        "```python\nx = {}\n```",
        "~~~\n{}\n```\n{}\n~~~",
        "````\n```\n{}\n```\n````",
        "- a list\n\n  ```\n  {}\n  ```",
        "> ```\n> {}\n> ```",
        "```{{code-cell}} python\n:tag: {}\n{}\n```",
        "```{{math}}\nx = {}\n```",
        "```{{figure}} a/{}.png\n:width: {}\n```",
        ":::{{note}}\n:class: a-{}\n:::",
        "$$\nx = {}\n$$",
        "\\begin{{align}}\nx = {}\n\\end{{align}}",
        "[a]: https://example.org/{}",
        "<!-- labs -->\n\n| {} |\n\n<!-- /labs -->",
        "<style>\n.a {{ opacity: {} }}\n</style>",
    ]
)


def with_number(forms):
    """One of these forms with a number in its gaps."""
    return st.builds(
        lambda form, number: re.sub(r"\{\}", number, form).replace("{{", "{").replace("}}", "}"),
        forms,
        NUMBERS,
    )


PIECES = st.one_of(
    st.tuples(st.just("word"), WORDS),
    st.tuples(st.just("number"), NUMBERS),
    st.tuples(st.just("hidden"), with_number(INLINE)),
    st.tuples(st.just("block"), with_number(BLOCKS)),
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_code_mathematics_and_markup_never_count_and_prose_always_does(pieces):
    text = "x"
    for kind, piece in pieces:
        text += f"\n\n{piece}\n\nx" if kind == "block" else f" {piece}; x"
    assert owed(text, [("<!-- labs -->", "<!-- /labs -->")]) == [
        piece for kind, piece in pieces if kind == "number"
    ]


@settings(deadline=None)
@given(st.text(alphabet="0.5 %`$<!->{}[]()\\~:\n|a−–", max_size=60))
def test_any_text_can_be_read(text):
    for figure in read_prose(text).figures:
        assert isinstance(figure, Figure) and text[figure.span.start : figure.span.end].strip()
        assert figure.line == text[: figure.span.start].count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        "```{admonition} Title of 0.5\n:class: w-2.5\nIn it 30 % are wrong.\n```\nand 0.7",
        ":::{note}\nTitle of 0.5 and 30 %\n:::\nand 0.7",
        "<details><summary>0.5</summary>\n\n30 % and 0.7\n\n</details>",
        "It costs \\$0.5, 30 % of \\$0.7.",
        "An `unclosed tick, 0.5\n\n30 % and 0.7",
        "![Picture of 0.5](a.png), [30 %](b), 0.7",
    ],
)
def test_text_within_markup_counts(text):
    assert owed(text) == ["0.5", "30 %", "0.7"]


def test_marks_belong_to_the_number_before_them():
    assert marked(
        "From 93.1 %<!-- a --> to **94.2 %** <!-- b -->, 13.1 ms<!-- c -->, 0.5 percentage points<!-- d -->, "
        "20<!-- e -->, 90.1 ± 0.2 %<!-- f -->,\n0.7\nmillion<!--\n g  h -->"
    ) == [
        ("93.1 %", "a"),
        ("94.2 %", "b"),
        ("13.1", "c"),
        ("0.5 percentage", "d"),
        ("20", "e"),
        ("90.1 ± 0.2 %", "f"),
        ("0.7", "g h"),
    ]


def test_a_mark_too_far_away_belongs_to_no_number():
    text = "0.5 of all the images <!-- a -->, 0.6, so <!-- b --> and 0.7<!-- c --><!-- d -->"
    prose = read_prose(text)
    assert [figure.mark for figure in prose.figures] == [None, None, "c"]
    assert prose.loose == tuple((text.index(f"<!-- {mark}"), mark) for mark in "abd")


def test_numbers_in_code_or_mathematics_may_be_marked():
    assert marked(r"`0.9`<!-- a -->, $0.5$ <!-- b -->, $30\,\%$<!-- c -->, $x = 1$<!-- d -->") == [
        ("`0.9`", "a"),
        ("$0.5$", "b"),
        (r"$30\,\%$", "c"),
    ]
    assert owed("`0.9`<!-- a --> and $0.5$") == []


def test_two_numbers_stand_together_only_without_a_mark_between():
    (pair,) = read_prose("12 to 20 %<!-- a -->").figures
    assert (pair.numbers, pair.percent, pair.mark) == (("12", "20"), True, "a")
    first, second = read_prose("12<!-- a --> to 20 %<!-- b -->").figures
    assert (first.numbers, first.mark, second.numbers, second.mark) == (("12",), "a", ("20",), "b")


def test_markdown_hides_a_mark_but_takes_one_that_begins_a_line_for_a_block():
    markdown = MarkdownIt("commonmark")
    shown = re.sub(r"<[^>]*>", "", markdown.render("It is **0.5** %<!-- a b .1% -->, says *he*."))
    assert shown.strip() == "It is 0.5 %, says he."
    broken = "It is 0.5 %\n<!-- a b .1% -->, says *he*."
    assert "*he*" in markdown.render(broken), "the rest of the line is not read as Markdown"
    assert starts_a_line(broken, broken.index("<!--")) and not starts_a_line("a <!--", 2)


def test_every_block_that_a_command_writes_is_known():
    pages = [path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "book").glob("*.md")]]
    pages += [cell.source for path in labs() for cell in read(path).cells if cell.cell_type == "markdown"]
    names = {name for text in pages for name in re.findall(r"<!-- /(\w+) -->", text)}
    assert {"claims", "labs", "plan", "badges"} <= names
    unknown = [
        name for name in names if not any(re.fullmatch(end, f"<!-- /{name} -->") for _, end in GENERATED)
    ]
    assert unknown == [], "say in GENERATED between which comments a command writes"
