"""Tables of strings as text and as HTML."""

from utils.analysis.text_table import TextTable

TABLE = TextTable(
    "a & b",
    ("name", "type", "output", "size"),
    [("c1", "Conv", "6×4", "5"), ("p", "Pool<2>", "6×2", "1,000")],
)


def test_words_stand_to_the_left_and_numbers_to_the_right():
    assert TABLE.text().splitlines() == [
        "a & b",
        "name  type     output   size",
        "----------------------------",
        "c1    Conv     6×4         5",
        "p     Pool<2>  6×2     1,000",
    ]


def test_a_total_has_a_rule_of_its_own_and_notes_follow():
    with_total = TextTable(
        TABLE.title, TABLE.header, TABLE.body, ("total", "", "", "1,005"), "what is counted"
    )
    *_, rule, total, empty, notes = with_total.text().splitlines()
    assert set(rule) == {"-"} and total.endswith("1,005") and empty == "" and notes == "what is counted"
    assert "<tfoot>" in with_total.html() and "<small>what is counted</small>" in with_total.html()


def test_html_is_escaped():
    page = TABLE.html()
    assert "<caption>a &amp; b</caption>" in page and "Pool&lt;2&gt;" in page
    assert page.count("text-align:right") == 3 and "<tfoot>" not in page
