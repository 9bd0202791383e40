"""The end of a run on a terminal: the sentence over all, the claims with what failed, and the cells of the report."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from synthetic import given_report, lineage_of, no_probe_report, report_of, stored_run, weights_report_of
from synthetic_evidence import compliance_report_of, timeline_report_of

from provenance.analyses.claims.sentences import TRANSFER_WORDS
from provenance.analyses.claims.verdict import claim_of
from provenance.cli.options.terminal import Terminal
from provenance.cli.show.run import print_files, print_list, print_run
from provenance.cli.show.tables import terminal_table
from provenance.db.reading.run_query import QueryResult
from provenance.db.store import Store
from provenance.figures.report.sections import folded_sections, read_results, terminal_sections
from provenance.figures.tables.overview import claims, decisions, overview
from provenance.figures.tables.result_tables import ReportTable
from provenance.records import Verdict
from provenance.words import QUICK_LOOK, RULES


def printed(url: str, width: int = 200, run: int = 1, *, verbose: bool = False, **summary: Any) -> str:
    console = Terminal(width=width, force_terminal=False)
    with console.capture() as captured:
        print_run({"database": url, "run": run, **summary}, console, verbose=verbose)
        print_files({"database": url, **summary}, console)
    return captured.get()


def lines_of(results: dict[str, QueryResult]) -> dict[str, str]:
    return {name: words for name, words in overview(results).rows if name}


def test_a_comparison_says_its_pair_and_sentence_before_its_tables(finished: str) -> None:
    text = printed(
        finished,
        report="out/report.html",
        figures=["out/a.svg", "out/a.csv", "out/b.svg"],
        notes=["[b]one[/b]"],
        not_drawn={"c": "[i]"},
        verbose=True,
    )
    order = (
        "org/base → org/instruct@0123abc", "The H-Neurons are readable in the base model.", "Overview", "Claims",
        "Backward transfer", "What transfer has to beat", "Directions", "Whose labels, whose text", "Intervention",
        "Funnel", "note: [b]one[/b]", f"database: {finished}", "report: out/report.html",
        "figures: 2 in out (PDF, SVG, PNG", "not drawn: c: [i]",
    )  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "Negative control" not in text


def test_a_negative_control_says_so_before_its_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    with Store.open(url) as store:
        run = stored_run(store, report_of(), command="compare --control permuted-index")
    text = printed(url, run=run)
    assert text.index("Negative control: permuted-index.") < text.index("The H-Neurons are readable")


def test_a_comparison_fits_one_screen_and_says_what_decided(finished: str, tmp_path: Path) -> None:
    """Each claim has one condition: the first that failed, and how many more did, or the last that was shown."""
    files = {"report": "out/report.html", "figures": ["out/a.svg"]}
    text = printed(finished, 80, **files)
    assert len(text.splitlines()) <= 40 - 2
    with Store.open(f"sqlite:///{tmp_path / 'quick.db'}") as store:
        run = stored_run(store, report_of(), quick=True)
        quick = printed(store.url, 80, run=run, **files)
    assert QUICK_LOOK not in text
    assert QUICK_LOOK in quick
    tables = [each.partition("database:")[0].count("\n") for each in (text, quick)]  # paths may take more lines
    assert tables[1] == tables[0] + 2  # with the blank line before it
    for words in (
        "org/base → org/instruct@0123abc",
        "descendant",
        "6 of 64",
        "AUROC 0.88 [0.85, 0.90]",
        "Backward transfer",
    ):
        assert words in text
    for words in ("Funnel", "highest baseline", "What transfer has to beat"):
        assert words not in text
        assert words in printed(finished, **files, verbose=True)


@pytest.mark.parametrize(
    ("holds", "verdict", "said"),
    [
        ((True, True, True), "supported", "largest p, after Holm’s correction: 0.03 < 0.05"),
        ((True, False, False), "not distinguishable", "largest p, after Holm’s correction: 0.03, not < 0.05"),
        ((False, True, False), "no power", "independent groups of the rarer class: 12, not >= 10 (+1 more)"),
        ((True, True, False), "not distinguishable", "largest p, after Holm’s correction: 0.03, not < 0.05"),
    ],
)
def test_the_condition_that_decided_follows_the_verdict(
    stored: Any, holds: tuple[bool, ...], verdict: Verdict, said: str
) -> None:
    report = report_of()
    claim = report.evidence.claims[0]
    codes = (("questions_per_class", 12.0, ">=", 10.0, "power"), ("p.chance", 0.2, "<", 0.05, "part"),
             ("p_holm", 0.03, "<", 0.05, "shown"))  # fmt: skip
    reasons = tuple(
        replace(
            claim.reasons[0], code=f"transfer.{code}", value=value, relation=relation, bar=bar, role=role, holds=met
        )
        for (code, value, relation, bar, role), met in zip(codes, holds, strict=True)
    )
    made = claim_of("transfer", TRANSFER_WORDS, reasons)
    assert made.verdict == verdict
    changed = replace(report.evidence, claims=(made,))
    table = decisions(read_results(stored(replace(report, evidence=changed)), 1))
    assert table is not None
    assert table.rows[0][-1] == said


@pytest.mark.parametrize(
    ("relation", "value", "said"),
    [
        ("<", 0.002, "p of this gain, after Holm’s correction: 0.002 < 0.05"),
        (">", 0.789, "lower end of the AUROC where labels differ: 0.789 > 0.05"),
    ],
)
def test_a_claim_that_stands_shows_its_own_number_and_not_that_of_transfer(
    stored: Any, relation: Any, value: float, said: str
) -> None:
    """Though the p of transfer, on which it rests, is larger; it decides where it is not met."""
    report = report_of()
    name = "beyond_confidence" if relation == "<" else "own_labels"
    claim = replace(report.evidence.claims[0], name=name)
    inherited = replace(claim.reasons[0], code=f"{name}.transfer_p_holm", value=0.02, relation="<", bar=0.05,
                        role="shown", holds=True)  # fmt: skip
    own = replace(inherited, code=f"{name}.{'p_holm' if relation == '<' else 'auroc_low'}", value=value,
                  relation=relation)  # fmt: skip
    missed = replace(inherited, value=0.3, holds=False)
    failed = "largest p of transfer, after Holm’s correction: 0.3, not < 0.05"
    for reasons, words in (((inherited, own), said), ((missed, own), failed)):
        changed = replace(report.evidence, claims=(claim_of(name, TRANSFER_WORDS, reasons),))
        table = decisions(read_results(stored(replace(report, evidence=changed)), 1))
        assert table is not None
        assert table.rows[0][-1] == words


def test_what_was_not_measured_is_said_so_where_it_decides(stored: Any) -> None:
    report = report_of()
    missing = replace(report.evidence.claims[0].reasons[0], code="transfer.p_holm", value=None, holds=None)
    changed = replace(report.evidence, claims=(claim_of("transfer", TRANSFER_WORDS, (missing, missing)),))
    table = decisions(read_results(stored(replace(report, evidence=changed)), 1))
    assert table is not None
    assert table.rows[0][-1] == "largest p, after Holm’s correction: not measured, needs < 0.05 (+1 more)"


def test_a_claim_shows_the_conditions_it_failed_or_missed_and_not_those_it_met(finished: str) -> None:
    text = printed(finished, verbose=True)
    assert "2 of 3" in text
    assert "transfer.gain.answer_text –, needs > 0" in text
    assert "transfer.gain.all_together -0.01, needs > 0" in text
    assert "overlap.p_zero 0.75, needs < 0.5" in text
    assert "transfer.chance" not in text
    assert "drift.delta.layer" not in text


def test_a_condition_that_fails_without_a_number_says_none_and_one_that_was_not_measured_a_dash(stored: Any) -> None:
    report = report_of()
    claim = report.evidence.claims[0]
    reasons = (replace(claim.reasons[0], value=None, holds=False), replace(claim.reasons[1], value=None, holds=None))
    changed = replace(report.evidence, claims=(replace(claim, reasons=reasons),))
    failed = claims(read_results(stored(replace(report, evidence=changed)), 1)).rows[0][-1]
    assert failed == "transfer.chance none, needs < 0.05\ntransfer.gain.question_text –, needs > 0"


@pytest.mark.parametrize("width", [60, 100])
def test_nothing_is_cut_off_on_a_narrow_terminal(finished: str, width: int) -> None:
    text = printed(finished, width, verbose=True)
    last = [line.rsplit("  ", 1)[-1].strip() for line in text.splitlines()]
    assert "transfer.gain.all_together" in "".join(last)
    assert "…" not in text


KINDS: dict[str, Any] = {
    "comparison": report_of(),
    "given neurons": given_report(),
    "no probe": no_probe_report(),
    "weights": weights_report_of(),
    "lineage": lineage_of(),
    "timeline": timeline_report_of(),
    "scaling": compliance_report_of(),
}


LONG = "/a/folder/whose/path/is/much/longer/than/any/line/of/a/narrow/terminal/and/that/nobody/may/break/report.html"
WIDTHS = (60, 80, 100, 200)


@pytest.mark.costly
@pytest.mark.parametrize("verbose", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_width_shows_everything_within_it(stored: Callable[..., str], kind: str, *, verbose: bool) -> None:
    """Paths and headings stay whole, and no line ends with blanks; each kind fits a screen of 80 columns."""
    url, whole = stored(KINDS[kind]), 1000
    files = {"report": LONG, "figures": [str(Path(LONG).with_name(f"{n}.svg")) for n in range(9)]}
    texts = {width: printed(url, width, verbose=verbose, **files) for width in (*WIDTHS, whole)}
    results, marks = {}, {}
    for width, text in texts.items():
        results[width], _, paths = text.partition("database:")
        marks[width] = Counter("".join(results[width].split()).replace("─", ""))
        over = {line for line in text.splitlines() if cell_len(line) > width}
        assert over <= {line for line in paths.splitlines() if " " not in line.partition(",")[0]}
        assert [line for line in text.splitlines() if line != line.rstrip()] == []
    shown = terminal_sections(read_results(url, 1), verbose=verbose)
    headings = {word for table in shown for head in table.header for word in head.split()}
    for width in WIDTHS:
        beside = all(isinstance(terminal_table(table, width), Table) for table in shown)
        assert marks[width] == marks[whole] or (marks[width] > marks[whole] and not beside)  # headings for each row
        assert beside or width < 80 or verbose
        assert headings <= set(results[width].split())
    assert verbose or len(results[80].splitlines()) <= 40 - 6  # with database, report and figures, each with its path


@pytest.mark.parametrize("width", [18, 27, 30, 60])
def test_a_table_that_is_too_wide_breaks_its_longest_word_alone(width: int) -> None:
    """At 60 nothing is broken, at 30 lines only between words; at 18 the headings leave no room beside each other."""
    rows = [("short_name", "[0.12, 0.34]", "one two"), ("a_longer_name", "[0.12, 0.34]", "three")]
    lines = laid_out(ReportTable("t", "", ("kind", "interval", "words"), rows), width)
    text = "\n".join(lines)
    if width == 18:
        assert lines[1].startswith("kind     short_")
        assert lines.count("") == len(rows) - 1
        return
    assert {len(line) for line in lines[1:]} <= {width} or width == 60
    assert ("a_longer_name" in text) == (width >= 30)
    assert "short_name" in text
    assert all(word in text for word in ("kind", "interval", "words", "three", "0.34]"))
    assert ("[0.12, 0.34]" in text) == (width == 60)


def laid_out(content: ReportTable, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(terminal_table(content, console.width))
    return captured.get().splitlines()


def test_counts_stay_whole_where_names_broken_in_two_take_fewer_lines() -> None:
    """As on a card of 60 columns, where a count in three lines beside a whole name is read by nobody."""
    rows = [("other-domain", "0.00778", "249 + 249"), ("in-domain", "0.0148", "307 + 307")]
    content = ReportTable("", "", ("question set", "CETT f", "n (f + h)"), rows, (0,))
    narrow, wide = ("\n".join(laid_out(content, width)) for width in (29, 32))
    assert "249 + 249" in narrow
    assert "other-domain" not in narrow
    assert "249 + 249" in wide
    assert "other-domain" in wide


def test_a_list_of_names_is_wrapped_on_a_terminal_alone() -> None:
    """Beside the names; another program gets a line for each."""
    meanings = {"claims": "one thing that may be said of the pair, and how well it stands", "[b]x[/b]": "y"}
    lines = {}
    for terminal in (True, False):
        console = Console(width=40, force_terminal=terminal, no_color=True)
        with console.capture() as captured:
            print_list(meanings, console)
        lines[terminal] = captured.get().splitlines()
    assert len(lines[False]) == 2
    assert len(lines[True]) > 2
    assert max(map(len, lines[True])) <= 40
    assert lines[True][1].startswith(" " * 10)
    assert lines[True][-1].split() == lines[False][-1].split() == ["[b]x[/b]", "y"]


def test_a_terminal_shows_the_cells_of_the_report_and_markup_as_text(finished: str) -> None:
    results = read_results(finished, 1)
    reported = {table.title: table for table in folded_sections(results)}
    shared = [table for table in terminal_sections(results, verbose=True) if table.title in reported]
    assert len(shared) == 12
    for table in shared:
        whole = reported[table.title]
        columns = dict(zip(whole.header, zip(*whole.rows, strict=True), strict=True))
        shown = terminal_table(table)
        assert isinstance(shown, Table)
        assert [column.header for column in shown.columns] == list(table.header)
        assert all(tuple(column.cells) == columns[str(column.header)] for column in shown.columns)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(terminal_table(ReportTable("[b]t[/b]", "", ("[b]h[/b]", "verdict"), [("[b]c[/b]", "x")])))
    assert all(f"[b]{name}[/b]" in captured.get() for name in "thc")


def test_the_overview_has_the_probe_the_highest_baseline_and_stability(finished: str) -> None:
    lines = lines_of(read_results(finished, 1))
    assert lines["lineage"] == "descendant, self-match 1.000"
    assert lines["H-Neurons"] == "6 of 64 (93.75 ‰); 3 to 7.5 over half-samples (95 %); 5 to 8 over folds"
    assert lines["probe"] == f"C = 1: {RULES['one-se']}"
    assert lines["held out, in-domain"] == "AUROC 0.88 [0.85, 0.90]"
    gain = "the probe gains 0.120 [0.080, 0.160]"
    assert lines["highest baseline"] == f"logistic regression on the residual stream: AUROC 0.76 [0.73, 0.79]; {gain}"
    assert lines["stability"].startswith("6 of 8 selected neurons are stable (5 in the probe), selected in 60% or more")
    assert lines["stability"].endswith("of 100 half-samples; Jaccard of two halves 0.310")
    assert lines["overlap"] == "3 of 3 (base) and 6 (instruct), Jaccard 0.500"
    assert lines["weights"].startswith("changed 0.70 [0.50, 0.90] times as much as neurons of the same layers, weight")
    assert "p = 0.040; detectable from 0.54 on (k = 6)" in lines["weights"]


@pytest.mark.parametrize("known", [False, True])
def test_a_baseline_without_a_number_is_not_the_highest(stored: Any, known: bool) -> None:
    report = report_of()
    held = report.identification.test[0]
    first, *others = held.baselines
    kept = (first if known else replace(first, auroc=None), *(replace(one, auroc=None) for one in others))
    probe = replace(report.identification, test=(replace(held, baselines=kept),))
    words = lines_of(read_results(stored(replace(report, identification=probe)), 1)).get("highest baseline", "")
    assert words.startswith("random neurons: AUROC 0.60") is known
    assert bool(words) is known


def test_given_neurons_say_their_file_and_no_c(stored: Any) -> None:
    lines = lines_of(read_results(stored(given_report()), 1))
    assert lines["probe"].startswith("no search: neurons from their_neurons.json")
    assert "stability" not in lines


def test_without_a_probe_the_reason_stands_in_its_place(stored: Any) -> None:
    text = printed(stored(no_probe_report()))
    assert "none: no faithful responses to fit on" in text
    assert "There is no probe, so nothing can be said." in text
    assert "highest baseline" not in text
    assert "Claims" not in text


@pytest.mark.parametrize(
    ("results", "titles"),
    [
        (weights_report_of(), ["Parameter evolution", "Drift against matched nulls", "Mapping", "Lineage"]),
        (weights_report_of(k=0), ["Parameter evolution", "Drift by layer"]),
        (weights_report_of(k=0, layers=80, per_layer=2), ["Parameter evolution", "Drift by layer"]),
        (lineage_of(), ["Lineage", "Weights by kind", "Configuration"]),
    ],
    ids=["listed", "drift", "deep", "lineage"],
)
def test_a_run_without_a_forward_pass_shows_what_it_looked_at_alone(
    stored: Callable[..., str], results: Any, titles: list[str]
) -> None:
    url = stored(results)
    found = read_results(url, 1)
    assert [table.title for table in terminal_sections(found, verbose=True)] == titles
    brief = terminal_sections(found)
    assert [table.title.partition(":")[0] for table in brief] == titles[: len(brief)]
    assert max(len(table.rows) for table in brief) <= 15
    assert "AUROC" not in printed(url)


def test_of_a_deep_model_the_layers_that_changed_most_are_shown(stored: Callable[..., str]) -> None:
    """In the order of the model; --verbose has all."""
    found = read_results(stored(weights_report_of(k=0, layers=80, per_layer=2)), 1)
    ranks = {str(row["layer"]): row["mean_stability_rank"] for row in found["layers"].records()}
    shown = [row[0] for row in terminal_sections(found)[-1].rows]
    assert terminal_sections(found)[-1].title == "Drift by layer: the 12 of 80 that changed most"
    assert shown == sorted(shown, key=int)
    assert set(shown) == set(sorted(ranks, key=lambda layer: ranks[layer])[:12])
    assert len(terminal_sections(found, verbose=True)[-1].rows) == 80


def test_a_timeline_shows_its_points(timeline: str) -> None:
    for verbose, second in ((False, "Kept up to the last point"), (True, "Weights and activations at each point")):
        text = printed(timeline, verbose=verbose)
        assert text.index("Readable at each point") < text.index(second)
    assert "random initialisation" in text
