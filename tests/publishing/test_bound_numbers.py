"""Bound numbers: what a mark says, digit by digit, on made-up records and on the pages held to the rule."""

import json
import random
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from utils.course.measured import digest_of
from utils.course.plain import as_json
from utils.experiments import summary
from utils.publishing.__main__ import main
from utils.publishing.bound_numbers import (
    BOUND,
    CHANGED,
    GENERATED,
    UNBOUND,
    WRONG,
    Text,
    bound_pages,
    chosen,
    problems,
    problems_of,
    report,
    texts,
)
from utils.publishing.bound_values import MEASURES, Archive, at_path
from utils.publishing.notebooks import ROOT, write
from utils.publishing.prose import read_prose

v4 = nbformat.v4


def run(label, seed, accuracy, losses=(2.0, 0.5)):
    return {
        "configuration": {"label": label},
        "seed": seed,
        "result": {"test_accuracy": accuracy, "test_images": 10_000, "note": "text"},
        "history": {"train_accuracy": [0.1, accuracy], "step_loss": list(losses)},
        "model": {"parameters": 9_231_114},
    }  # fmt: skip


ACCURACIES = {"bn-0.001": (0.90, 0.91, 0.92), "plain-0.001": (0.8, 0.82, 0.81), "one": (0.5,)}
RUNS = summary.Results(
    "batchnorm-bands",
    "full",
    tuple(
        run(label, seed, accuracy)
        for label, accuracies in ACCURACIES.items()
        for seed, accuracy in enumerate(accuracies)
    ),
)  # fmt: skip


def runs(experiment, profile):
    if (experiment, profile) in (("batchnorm-bands", None), ("batchnorm-bands", "full")):
        return RUNS
    raise FileNotFoundError(f"no recorded runs of {experiment}; make them with `run`")


@pytest.fixture
def archive(tmp_path):
    """Made-up runs, a bibliography of one book, and the measurements of one lab."""
    (tmp_path / "book" / "results" / "labs").mkdir(parents=True)
    (tmp_path / "book" / "references.bib").write_text(
        "@article{he2016,\n  title = {A}\n}\n", encoding="utf-8"
    )
    one = {
        "code": {}, "commit": "c", "datasets": [], "device": "CPU", "profile": "quick", "seconds": 1.0,
        "sizes": {"epochs": 5, "lr": 0.02}, "started": "2026-11-29T10:00:00", "versions": {},
    }  # fmt: skip
    values = {"widths": {"bn": np.array([0.125, 0.25, 0.375]), 0.001: (0.125, 2)}, "cost": 1234560.0}
    measurements = {name: {**one, "value": as_json(value)} for name, value in values.items()}
    for name, each in measurements.items():
        each["digest"] = digest_of("07_batchnorm_vgg", name, each)
    record = {"format": 1, "lab": "07_batchnorm_vgg", "measurements": measurements}
    (tmp_path / "book/results/labs/07_batchnorm_vgg.json").write_text(json.dumps(record), encoding="utf-8")
    return Archive(tmp_path, runs)


CELLS = ["optimizer = SGD(lr = 0.15, momentum=.9)", "noise(share=0.3)"]


def found(text, archive, cells=CELLS):
    return [(each.kind, each.told) for each in problems_of(Text("page.md", "", text), cells, archive)]


RIGHT = [
    # mean .91, sd .01, of three; the differences by hand: .91 − .81
    "91.0 %<!-- batchnorm-bands bn-0.001 test_accuracy mean .1% -->",
    "0.91<!-- batchnorm-bands@full bn-0.001 result.test_accuracy mean .2 -->",
    "91.0 ± 1.0 %<!-- batchnorm-bands bn-0.001 test_accuracy mean±sd .1% -->",
    "90 to 92 %<!-- batchnorm-bands bn-0.001 test_accuracy range % -->",
    "92 %<!-- batchnorm-bands bn-0.001 test_accuracy seed=2 % -->",
    "81.0<!-- batchnorm-bands plain-0.001 test_accuracy median .1% -->",
    "n = 3<!-- batchnorm-bands plain-0.001 test_accuracy n , -->",
    "+10.0 points<!-- batchnorm-bands bn-0.001 minus plain-0.001 test_accuracy mean .1% -->",
    "−10.0 points<!-- batchnorm-bands plain-0.001 minus bn-0.001 test_accuracy mean .1% -->",
    # Welch: both variances 10⁻⁴, se = √(2·10⁻⁴ / 3) = .8165 points, four degrees of freedom, t = 2.7764
    "+7.73 to +12.27 points<!-- batchnorm-bands bn-0.001 minus plain-0.001 test_accuracy interval .2% -->",
    "7.73<!-- batchnorm-bands bn-0.001 minus plain-0.001 test_accuracy low .2% -->",
    # pairs .10, .09, .11: sd .01, se .57735 points, two degrees of freedom, t = 4.3027
    "12.48<!-- batchnorm-bands bn-0.001 minus-paired plain-0.001 test_accuracy high .2% -->",
    "1.123 times<!-- batchnorm-bands bn-0.001 over plain-0.001 test_accuracy mean .3 -->",
    "91.0 %<!-- batchnorm-bands bn-0.001 history.train_accuracy[-1] mean .1% -->",
    "9.2 million<!-- batchnorm-bands bn-0.001 model.parameters mean .1M -->",
    "9,231,114<!-- batchnorm-bands bn-0.001 model.parameters mean , -->",
    "9.0 %<!-- batchnorm-bands bn-0.001 train_error mean .1% -->",
    '50.0 %<!-- batchnorm-bands "one" accuracy_on_test mean .1% -->',
    "0.250<!-- lab 07_batchnorm_vgg widths.bn mean .3 -->",
    ".12 to .38<!-- lab 07_batchnorm_vgg widths.bn range .2 -->",
    "12.5 %<!-- lab 07_batchnorm_vgg widths.0.001[0] .1% -->",
    "2.0<!-- lab 07_batchnorm_vgg widths.0.001.1 .1 -->",
    "5 epochs<!-- lab 07_batchnorm_vgg sizes.widths.epochs , -->",
    "0.02<!-- lab 07_batchnorm_vgg sizes.cost.lr .2 -->",
    "1.23 million<!-- lab 07_batchnorm_vgg cost .2M -->",
    "1.2·10⁶<!-- lab 07_batchnorm_vgg cost .1e -->",
    "92.06 %<!-- claim C1 base .2% -->",
    "a momentum of 0.9<!-- option vgg-rates-gradients bn-0.01 momentum -->",
    "1.0 %<!-- option vgg-rates-gradients bn-0.01 lr .1% -->",
    "a rate of .15<!-- code: lr=0.15 -->",
    "30 %<!-- code: noise(share=0.3) -->",
    "27 %<!-- = 0.3 * 9 / 10 -->",
    "90<!-- = 100 * (1 - 1/10) .0 -->",
    "2.303<!-- = log(10) .3 -->",
    "0.1<!-- = 1 - .9 -->",
    "5 %<!-- = utils.experiments.differences.LEVEL -->",
    "3.57 %<!-- source: he2016 3.57 %, Table 5 -->",
    "3.6 %<!-- source: he2016 3.57 % -->",
    "2.5<!-- source: he2016 2.45 --> and 2.4<!-- source: he2016 2.45 -->",
]


@pytest.mark.parametrize("sentence", RIGHT)
def test_a_figure_that_its_mark_bears_out_is_right(sentence, archive):
    assert found(f"It is {sentence}.", archive) == []


def change(text, figure, chance):
    """The text with one digit of the figure changed, and the figure as it then stands there."""
    start, end = figure.span
    mantissa = re.split("[·×e]", text[start:end])[0]
    digits = [place for place in range(start, start + len(mantissa)) if text[place] in "0123456789"]
    place = chance.choice(digits)
    digit = chance.choice([digit for digit in "0123456789" if digit != text[place]])
    changed = text[:place] + digit + text[place + 1 :]
    return changed, " ".join(changed[start:end].split())


@pytest.mark.parametrize("sentence", RIGHT)
def test_one_changed_digit_is_named(sentence, archive):
    chance = random.Random(sentence)
    for _ in range(4):
        figure = chance.choice(read_prose(f"It is {sentence}.").figures)
        changed, now = change(f"It is {sentence}.", figure, chance)
        ((kind, told),) = found(changed, archive)
        assert kind == CHANGED and told.startswith(f"{now!r}, marked '{figure.mark}': it is ")


@pytest.mark.parametrize(
    "mark, complaint",
    [
        ("batchnorm-band bn-0.001 test_accuracy mean .1", "not with 'batchnorm-band' (did you mean"),
        ("TODO", "a mark begins with an experiment or source:, code:"),
        ("patchify-vgg base test_accuracy mean .1", "no recorded runs of patchify-vgg; make them"),
        ("batchnorm-bands@quick bn-0.001 test_accuracy mean .1", "no recorded runs"),
        ("batchnorm-bands@big bn-0.001 test_accuracy mean .1", "'big' is no profile"),
        ("batchnorm-bands bn-1 test_accuracy mean .1", "no recorded run 'bn-1'"),
        ("batchnorm-bands bn-0.001 test_acc mean .1", "there is test_accuracy, test_images, note"),
        ("batchnorm-bands bn-0.001 note mean .1", "note is no number but 'text'"),
        ("batchnorm-bands bn-0.001 history.step_loss[7] mean .1", "the list has 2 entries"),
        ("batchnorm-bands bn-0.001 test_accuracy average .1", "'average' is no statistic"),
        ("batchnorm-bands bn-0.001 test_accuracy seed=7 .1", "no run with seed 7, only with 0, 1, 2"),
        ("batchnorm-bands one test_accuracy sd .1", "a single run has no standard deviation"),
        ("batchnorm-bands bn-0.001 test_accuracy mean 1f", "'1f' is no format"),
        ("batchnorm-bands bn-0.001 test_accuracy mean", "it should be EXPERIMENT LABEL"),
        ("batchnorm-bands bn-0.001 test_accuracy mean±sd .1%", "gives 2 numbers, and one number"),
        ("batchnorm-bands one minus one test_accuracy low .1", "leaves no interval"),
        ("batchnorm-bands one minus one test_accuracy sd .1", "a difference has no 'sd'"),
        ("batchnorm-bands one versus one test_accuracy mean .1", "'versus' joins no labels"),
        ("batchnorm-bands bn-0.001 minus-paired one test_accuracy n ,", "without a partner: 1, 2"),
        ("batchnorm-bands one band_width mean .1", "band_width has no 'one'"),
        ("batchnorm-bands \"one test_accuracy mean .1", "quotation marks do not match"),
        ("lab 01_x a.b .1", "book/results/labs/01_x.json is missing"),
        ("lab 07_batchnorm_vgg width .1", "at 'width' there is widths, cost, sizes"),
        ("lab 07_batchnorm_vgg widths.bn .1", "is a list of 3 numbers: say which statistic"),
        ("lab 07_batchnorm_vgg cost mean .1", "cost is one number, of which there is no mean"),
        ("claim C99 base .1", "there is no claim 'C99'"),
        ("claim C1 bn .1", "C1 gives no figure of 'bn', only of base"),
        ("claim C1 .1", "it should be claim ID NAME"),
        ("option vgg-rates-gradients bn-0.01 rate", "has no 'rate'"),
        ("option vgg-rates-gradients resnet lr", "no configuration 'resnet', only plain-0.01"),
        ("account vgg-a total_params .1M", "it should be account MODEL CxHxW"),
        ("code: lr=0.1", "no code cell of the page has 'lr=0.1'"),
        ("code: SGD(lr=0.15, momentum=.9)", "has 2 numbers, and should have one"),
        ("= 0.5", "is a number and no calculation"),
        ("= -0.5 .1", "is a number and no calculation"),
        ("= 1 / 3", "has no end as a decimal: say in which format"),
        ("= log(10)", "has no exact value: say in which format"),
        ("= 1 / 0 .1", "has no value"),
        ("= 9 ** 9999 .1", "a power of 9999 is too large"),
        ("= one + 1 .1", "'one' is neither number nor arithmetic"),
        ("= open('x') .1", "is neither number nor arithmetic"),
        ("= os.path.LEVEL .1", "'os.path.LEVEL' is no constant"),
        ("= utils.experiments.differences.NONE .1", "there is no utils.experiments.differences.NONE"),
        ("= 1 + .1", "it is 1.1 now"),
        ("= 1 +", "'1 +' is no arithmetic"),
        ("source: he2015 0.5", "book/references.bib has no 'he2015' (did you mean 'he2016'?)"),
        ("source: he2016", "has to repeat the figure as the source prints it: source: he2016 0.5"),
        ("source: he2016, 0.5", "has to repeat the figure"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_mark_is_said_in_a_sentence(mark, complaint, archive):
    ((kind, told),) = found(f"It is 0.5<!-- {mark} -->.", archive)
    assert told.startswith(f"'0.5', marked '{mark}': ") and complaint in told
    assert kind == (CHANGED if complaint.startswith("it is 1.1") else WRONG)


def test_a_mark_that_begins_a_line_or_stands_behind_no_number_is_named(archive):
    assert found("It is 0.5\n<!-- = 1 / 2 --> of\nthe whole world <!-- source: he2016 1 -->.", archive) == [
        (UNBOUND, "'0.5' has no mark"),
        (WRONG, "no number stands directly before the mark '= 1 / 2', which must not begin a line"),
        (WRONG, "no number stands directly before the mark 'source: he2016 1'"),
    ]


def test_a_number_without_a_mark_is_named(archive):
    assert found("a\n\nIt is 0.5, and 30 %\nof 20 images.", archive) == [
        (UNBOUND, "'0.5' has no mark"),
        (UNBOUND, "'30 %' has no mark"),
    ]


def test_measures_are_those_of_the_summary():
    assert {"accuracy_on_test", "train_error", "early_accuracy", "overfitting", "band_width"} <= set(MEASURES)


def test_paths_lead_through_objects_and_lists():
    value = {"a": [{"0.5": 1, "0.5.x": 2}], "b[0]": 3}
    assert at_path(value, "a[0].0.5", "x") == at_path(value, "a.0.0.5", "x") == 1
    assert at_path(value, "a[-1].0.5.x", "x") == 2 and at_path(value, "b[0]", "x") == 3
    columns = {"a": [[1, 2], [3, 4]], "b": [{"c": 5}, {"c": 6}]}
    assert at_path(columns, "a[*][1]", "x") == [2, 4] and at_path(columns, "b[*].c", "x") == [5, 6]
    assert at_path(columns, "a[*]", "x") == columns["a"]
    with pytest.raises(ValueError, match="x has no 'a.c': before 'c' stands no list or object"):
        at_path(value, "a.c", "x")


@pytest.fixture
def book(archive):
    """A page and a lab with figures in them."""
    (archive.root / "README.md").write_text(
        "# A\n\nIt is 91.0 %<!-- batchnorm-bands bn-0.001 test_accuracy mean .1% -->.\n", encoding="utf-8"
    )
    cells = [
        v4.new_markdown_cell("# Lab 1 · A"),
        v4.new_code_cell("lr = 0.1"),
        v4.new_markdown_cell("Text.\n\nA rate of 0.2<!-- code: lr = 0.1 -->; 0.3 too."),
    ]
    write(v4.new_notebook(cells=cells), archive.root / "labs" / "01_a.ipynb")
    return archive


def test_page_cell_and_line_are_named(book):
    assert [str(problem) for problem in problems(book.root / "labs/01_a.ipynb", book)] == [
        "labs/01_a.ipynb, cell 2, line 3: '0.2', marked 'code: lr = 0.1': it is 0.1 now",
        "labs/01_a.ipynb, cell 2, line 3: '0.3' has no mark",
    ]
    assert problems(book.root / "README.md", book) == []


def test_the_report_fails_only_for_pages_that_are_held_to_the_rule(book, monkeypatch):
    lab, page = book.root / "labs/01_a.ipynb", book.root / "README.md"
    monkeypatch.setattr("utils.publishing.bound_numbers.Archive", lambda root: book)
    told, failed = report([page, lab], book.root)
    assert failed == 0 and told == (
        "README.md: 1 marked number, 0 problems\n"
        "labs/01_a.ipynb: 1 marked number, 2 problems (the rule is not switched on for this page)\n"
        "  cell 2, line 3: '0.2', marked 'code: lr = 0.1': it is 0.1 now\n"
        "  cell 2, line 3: '0.3' has no mark"
    )
    page.write_text(page.read_text(encoding="utf-8").replace("91.0", "91.1"), encoding="utf-8")
    told, failed = report([page], book.root)
    assert failed == 1 and "line 3: '91.1 %', marked" in told and told.endswith("it is 91.0 now")
    assert "91.1" in page.read_text(encoding="utf-8"), "no program rewrites a sentence"


def test_pages_are_found_by_path_or_name(book):
    lab = book.root / "labs" / "01_a.ipynb"
    assert chosen(["01_a", "labs/01_a.ipynb", str(lab), "README.md"], book.root)[:3] == [lab.resolve()] * 3
    with pytest.raises(ValueError, match="there is no page '02_b'"):
        chosen(["02_b"], book.root)


def test_the_command_lists_what_is_wrong(capsys, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("It is 0.6<!-- = 1 / 2 -->, or 0.7.\n", encoding="utf-8")
    assert main(["numbers", str(page)]) == 0, "the rule is not switched on for this page"
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  line 1: '0.6', marked '= 1 / 2': it is 0.5 now",
        "  line 1: '0.7' has no mark",
    ]
    assert main(["numbers", "nowhere"]) == 1
    assert "there is no page 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("page", BOUND)
def test_every_number_of_the_page_is_bound(page):
    wrong = [str(problem) for problem in problems(ROOT / page)]
    assert wrong == [], (
        "`python -m utils.publishing numbers` lists them; look at the figure, mend the sentence"
    )


@pytest.mark.parametrize("page", BOUND)
def test_one_changed_digit_of_the_page_is_named(page):
    chance, archive = random.Random(page), Archive()
    pieces, code = texts(ROOT / page)
    for piece in pieces:
        changed, expected = piece.source, []
        for figure in reversed(read_prose(piece.source, GENERATED).figures):
            changed, now = change(changed, figure, chance)
            expected.append((piece.at(figure.line), f"{now!r}, marked '{figure.mark}': it is "))
        told = list(problems_of(Text(page, piece.place, changed), code, archive))
        assert len(told) == len(expected)
        for problem, (place, beginning) in zip(told, reversed(expected), strict=True):
            assert (problem.kind, problem.place) == (CHANGED, place)
            assert problem.told.startswith(beginning)


def test_the_rule_holds_for_pages_that_exist_and_have_numbers():
    pages = bound_pages()
    assert all(isinstance(page, Path) and page.is_file() for page in pages)
    assert sum(page.read_text(encoding="utf-8").count("<!-- ") for page in pages) > 40
