"""The report: self-contained, verdict first, the rest folded, nothing from outside obeyed as markup."""

import io
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape
from matplotlib.figure import Figure
from rich.console import Console
from sqlalchemy import URL, Engine
from sqlalchemy import text as sql
from synthetic import (
    SETS,
    given_report,
    lineage_of,
    no_power_of,
    no_probe_report,
    pruned_weights_report,
    report_of,
    response_of,
    stored_run,
    task_of,
    transfer_of,
    weights_report_of,
)
from synthetic_evidence import compliance_report_of, replies_of

from provenance.analyses.jobs.given_answers import concept_of
from provenance.analyses.results.reports import Evidence
from provenance.cli.show.run import print_run
from provenance.cli.show.study import print_study
from provenance.db.connection.connect import reading_engine
from provenance.db.reading import run_query
from provenance.db.store import Store
from provenance.db.studies import study_of_runs
from provenance.errors import InputError
from provenance.figures.gallery import Attempt, attempted, drawn
from provenance.figures.report.html import by_width, report_html, write_report, write_results
from provenance.figures.report.study import study_html, study_summary
from provenance.figures.tables.comparison import H_NEURONS_SHOWN
from provenance.figures.tables.result_tables import ReportTable
from provenance.words import LONGEST_NAME, QUICK_LOOK

VOID = {"meta", "link", "br", "img", "input", "hr"}
CODE = "{{lipsum.__globals__.os.getcwd()}}"
MARKUP = "<script src=//evil.example></script>"
SCRIPTS = 2  # the manifest, and what sorts, finds and unfolds
PARTS = ["Verdict", "H-Neurons", "Figures", "Appendices"]
FOLDED = (
    "Further figures", "Conditions",
    "Replicates: transfer", "Replicates: claims", "Where the variance of transfer comes from",
    "What transfer has to beat", "Directions in the residual stream", "Whose labels, whose text, whose prompt",
    "Where the two models’ labels agree and differ", "Two judges of the same answers", "Refusals", "Magnitudes",
    "Drift against matched nulls", "Overlap against its nulls", "Power", "Intervention",
    "Plain questions with the H-Neurons scaled", "Two judges of the same replies", "Activations of the other model",
    "Backward transfer", "Parameter evolution",
    "Overlap", "Identification",
    "Baselines", "Path", "Stability", "Most often selected neurons", "Clusters", "Lineage", "Weights by kind",
    "Configuration", "Mapping", "Drift by layer", "Funnel", "H-Neurons, one by one", "Question sets", "Time by stage",
    "Method in short", "Settings and provenance",
)  # fmt: skip


class Page(HTMLParser):
    """Checks nesting, and keeps ids, texts and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    assert page.open == []
    return page


def undrawn_html(url: str) -> str:
    """The report without figures, which take most of its time, for what stands in its text and tables."""
    return report_html(url, figures=Attempt([], {}))


@pytest.fixture(scope="module")
def html(finished: str) -> str:
    return report_html(finished)


def test_the_page_is_well_formed_and_ids_are_unique(html: str) -> None:
    page = parsed(html)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 9


def test_a_report_opens_the_database_once(finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is checked whenever it is opened, which takes longer than most of the queries."""
    opened: list[object] = []

    def counting(url: URL, *given: Any) -> Engine:
        opened.append(url)
        return reading_engine(url, *given)

    monkeypatch.setattr(run_query, "reading_engine", counting)
    undrawn_html(finished)
    assert len(opened) == 1


def test_the_page_needs_nothing_else(html: str) -> None:
    page = parsed(html)
    assert all(address.startswith("#") for address in page.addresses)
    assert "@import" not in html
    assert "fetch(" not in html
    assert not re.search(r"url\((?!#)", html)


def test_references_inside_the_figures_find_their_targets(html: str) -> None:
    page = parsed(html)
    wanted = {address[1:] for address in page.addresses} | set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted
    assert wanted <= set(page.ids)


def test_the_verdict_in_words_comes_before_everything_else(html: str) -> None:
    body = html[html.index("<body>") :]
    verdict = body.index("The H-Neurons are readable in the base model.")
    assert verdict < body.index("<svg")
    assert verdict < body.index("<table")


def test_the_verdict_comes_first_then_neurons_figures_and_examples_and_all_else_is_folded(html: str) -> None:
    assert re.findall(r"<h2>([^<]+)</h2>", html) == PARTS
    assert re.findall(r"<summary><h3>([^<]+)</h3></summary>", html) == list(FOLDED)
    opened, folded = html[: html.index('id="appendices"')], html[html.index('id="appendices"') :]
    assert re.findall(r'<figure id="(\w+)"', opened) == [
        "figure_4a", "figure_4b", "figure_layers", "figure_replicates"
    ]  # fmt: skip
    assert folded.count("<figure") == 5


def test_the_contents_lead_to_every_part_and_appendix(html: str) -> None:
    contents = html[html.index("<nav") : html.index("</nav>")]
    links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', contents)
    assert [title for _, title in links] == [*PARTS, *FOLDED]
    assert {name for name, _ in links} <= set(parsed(html).ids)


def words_outside_the_appendices(html: str) -> int:
    """Of text, table cells and contents; letters of figures are shapes."""
    shown = html[html.index("<body>") : html.index('<section id="appendices">')]
    return len(" ".join(parsed(f"{shown}</main></body>").texts).split())


def test_what_is_not_folded_can_be_read_in_ten_minutes(html: str, stored: Any) -> None:
    assert 300 < words_outside_the_appendices(html) <= 2500
    many = undrawn_html(stored(report_of((no_power_of(SETS[0]),), k=130, layers=4, per_layer=100)))
    assert 1000 < words_outside_the_appendices(many) <= 2500


def test_the_table_of_neurons_can_be_sorted_and_searched_and_no_other_script_is_there(html: str) -> None:
    neurons = html[html.index('<section id="h-neurons">') : html.index('<section id="figures">')]
    assert '<table class="sortable">' in neurons
    assert html.count("<script") == SCRIPTS
    script = html[html.index("<script>") : html.rindex("</script>")]
    for part in ("table.sortable", "ariaSort", '"search"', "beforeprint", "afterprint", "hashchange"):
        assert part in script


def test_an_example_shows_what_was_judged_and_marks_the_captured_words(stored: Any) -> None:
    """Answers whose captured words are known come first; training answers and dropped ones are no examples."""
    url = stored(report_of())
    said = replace(response_of(1), split="test", label="hallucinated", text="", n_samples=3, n_right=0)
    texts = {0: "Nobody knows.", 1: "It was answer 1, <b>I think</b>.", 2: "x" * 1000}
    answers = {place: replace(said, question_id=f"q{place}", text=text) for place, text in texts.items()}
    answers[3] = replace(said, question_id="q0", text="dropped", label="dropped")
    answers[4] = replace(said, question_id="q0", text="learned", split="train")
    with Store.open(url) as store:
        store.response_log(replace(task_of(), stage="base", dataset=SETS[0]), 1).put(answers)
    page = undrawn_html(url)
    first, *others = page.split("<article>")[1:]
    assert "<h3>base, hallucinated</h3>" in first
    assert "<p>Who wrote “Œuvre 1”?</p>" in first
    assert "It was <mark>answer 1</mark>, &lt;b&gt;I think&lt;/b&gt;." in first
    assert f"Right: A\nB; Ω. Judged: 0 of 3 samples right, by rule. Captured: 2 of 2 tokens. Set: {SETS[0]}." in first
    assert [f"{'x' * 399}…<mark></mark>" in other for other in others] == [True]  # two of each model and label
    assert not any(text in page for text in ("Nobody knows.", "learned<mark>", "dropped<mark>"))
    assert "Held-out answers" not in undrawn_html(stored(no_probe_report()))


@pytest.mark.parametrize(
    ("said", "shown"),
    [("answer 10 answer 1", "answer 10 answer 1<mark></mark>"), ("So: answer 1!", "So: <mark>answer 1</mark>!")],
)
def test_a_label_of_a_file_is_said_to_be_one_and_words_that_stand_there_twice_are_not_marked(
    stored: Any, said: str, shown: str
) -> None:
    url = stored(report_of())
    answer = replace(response_of(1), split="test", label="hallucinated", text=said, label_source="file", n_right=0)
    with Store.open(url) as store:
        log = store.response_log(replace(task_of(), stage="base", dataset=SETS[0]), 1)
        log.put({0: replace(answer, question_id="q1")})
    example = undrawn_html(url).split("<article>")[1]
    assert f'<p class="said">{shown}</p>' in example
    assert '<p class="note">Label: from the file. Captured: 2 of 2 tokens.' in example


def test_verdicts_have_a_sign_and_words_beside_the_colour(html: str) -> None:
    assert "●</span>readable in the base model" in html
    assert ">● supported</td>" in html
    assert ">○ not distinguishable</td>" in html
    assert "○ not distinguishable from the null" in html


def test_numbers_come_with_interval_n_and_null(html: str) -> None:
    for cell in ("0.90 [0.86, 0.94]", "200 + 180", "0.81 [0.78, 0.84]", "180 + 180"):
        assert f">{cell}</td>" in html


def test_settings_versions_seed_and_digests_are_there(html: str) -> None:
    text = "".join(parsed(html).texts)
    for part in ("2.13.0", "b" * 64, "c" * 64, "[0.1, 1.0]", "disagreement 298, refusal 12", "0.12 GB", "700 tokens"):
        assert part in text
    assert re.search(r"<td>seed</td><td>7</td>", html)


def test_the_method_prints_the_equation_and_says_readable_is_not_functional(html: str) -> None:
    assert "<mtext>CETT</mtext>" in html
    assert "does not mean that the base model uses" in html
    assert "Readable in the base model" in html


@pytest.mark.costly
def test_names_from_outside_are_text_and_never_markup(stored: Any) -> None:
    bad = '<script>alert(1)</script> & "x" $y$ {{ 7 * 7 }}'
    page = parsed(report_html(stored(report_of((transfer_of(bad, 0.8, np.random.default_rng(0)),)))))
    assert page.tags.count("script") == SCRIPTS
    assert bad in page.texts
    assert "{{ 7 * 7 }}" in "".join(page.texts)


def labelled(url: str, concept: dict[str, Any]) -> str:
    """Store another concept in the settings of run 1, as somebody's database may have it."""
    with Store.open(url) as store, store.transaction() as connection:
        settings = json.loads(connection.execute(sql("SELECT settings FROM run")).scalar_one())
        values = {"settings": json.dumps({**settings, "concept": concept})}
        connection.execute(sql("UPDATE run SET settings = :settings"), values)
    return url


@pytest.mark.costly
@pytest.mark.parametrize(
    ("labels", "name"),
    [((CODE, MARKUP), None), pytest.param((MARKUP, CODE), MARKUP, marks=pytest.mark.slow),
     (("{% raw %}{# {{", r"$\x$"), "{a}"),
     pytest.param(("{base}", r"\1 %}"), "{instruct.__class__}", marks=pytest.mark.slow)],
)  # fmt: skip
def test_labels_and_concepts_from_outside_are_text_and_never_code_or_markup(
    stored: Any, labels: tuple[str, str], name: str | None
) -> None:
    concept = concept_of(labels, labels[0], name)
    html = report_html(labelled(stored(report_of()), asdict(concept)))
    page = parsed(html)
    said = "".join(page.texts)
    assert page.tags.count("script") == SCRIPTS
    assert page.tags.count("svg") == 9
    assert "could not be drawn" not in said
    assert f"Were the {concept.name} neurons of org/instruct@0123abc already in org/base" in said
    assert f"averages tells “{labels[0]}” from “{labels[1]}”" in said
    assert str(Path.cwd()) not in html


@pytest.mark.parametrize(
    "stored_concept",
    [{"positive": "x" * (LONGEST_NAME + 1)}, {"name": "a\nb"}, {"negative": "“"}, {"name": 3}, {"name": ""}, [1],
     {"worded": "x"}],
)  # fmt: skip
def test_a_concept_of_somebodys_database_that_cannot_be_shown_is_refused(stored: Any, stored_concept: Any) -> None:
    with pytest.raises(InputError):
        undrawn_html(labelled(stored(report_of()), stored_concept))


def test_a_run_without_power_has_a_report_that_says_why(stored: Any) -> None:
    claims = tuple(
        replace(claim, verdict="no power", reasons=())
        for claim in report_of().evidence.claims
        if claim.name in ("transfer", "drift", "overlap")
    )
    html = undrawn_html(stored(replace(no_probe_report(), evidence=Evidence(claims=claims))))
    page = parsed(html)
    text = " ".join(page.texts)
    assert "There is no probe, so nothing can be said." in text
    assert "no faithful responses to fit on" in text
    assert html[: html.index("</dl>")].count("–</span>no power") == 3


def texts_and_titles(html: str) -> tuple[str, list[str]]:
    """The visible text, and the headings of all parts and appendices."""
    text = " ".join(" ".join(parsed(html[: html.index("<script>")] + "</body></html>").texts).split())
    return text, ["".join(found) for found in re.findall(r"<h2>([^<]+)</h2>|<summary><h3>([^<]+)</h3>", html)]


def test_the_report_of_a_list_says_so_and_has_no_section_of_what_was_not_looked_at(stored: Any) -> None:
    report = weights_report_of()
    weighed = tuple(t for t in report.drift_tests if t.measure != "functional" and t.matching != "layer_norm_activity")
    html = report_html(stored(replace(report, drift_tests=weighed)))
    text, titles = texts_and_titles(html)
    assert titles == [
        "Verdict", "Parameter evolution", "H-Neurons", "Figures", "Appendices",
        "Drift against matched nulls", "Mapping", "Drift by layer", "Lineage", "Weights by kind", "Configuration",
        "Time by stage", "Method in short", "Settings and provenance",
    ]  # fmt: skip
    assert "No forward pass was run: the k = 6 H-Neurons are those of their_neurons.json" in text
    assert "was taken as given ( their_neurons.json" in text.replace("(their", "( their")
    assert "How far did the listed neurons of org/instruct@0123abc move from org/base?" in text
    assert "compare --weights-only" in text
    for word in ("AUROC", "CETT", "transfer", "responses", "also in base", "r base–instruct"):
        assert word not in text, word
    page = parsed(html)
    assert page.tags.count("svg") == 3
    assert len(page.ids) == len(set(page.ids))


def test_the_report_of_a_drift_run_makes_no_claim_about_a_list_that_was_not_given(stored: Any) -> None:
    html = report_html(stored(weights_report_of(k=0)))
    text, titles = texts_and_titles(html)
    assert titles == [
        "Verdict", "Parameter evolution", "Figures", "Appendices", "Drift by layer", "Lineage", "Weights by kind",
        "Configuration", "Time by stage", "Method in short", "Settings and provenance",
    ]  # fmt: skip
    assert "This is about all neurons." in text
    assert "no power" not in text
    assert "Did the H-Neurons change less" not in text
    assert "H-Neurons, k" not in text


@pytest.mark.parametrize("k", [0, 6])
def test_a_run_that_did_not_ask_for_lineage_has_a_report_without_it(stored: Any, k: int) -> None:
    html = report_html(stored(replace(weights_report_of(k=k), lineage=None)))
    text, titles = texts_and_titles(html)
    neurons = ["H-Neurons"] if k else []
    listed = ["Drift against matched nulls", "Mapping"] if k else []
    assert titles == [
        "Verdict", "Parameter evolution", *neurons, "Figures", "Appendices", *listed, "Drift by layer",
        "Time by stage", "Method in short", "Settings and provenance",
    ]  # fmt: skip
    assert "looks up a sample" not in text
    assert 'id="figure_drift"' in html


def test_what_could_not_be_compared_has_no_number(stored: Any) -> None:
    """Neither as a share of nothing nor as a row of dashes."""
    nothing = {"self_match": 0.0, "nearest_cosine": 0.0, "found_in_base": 0.0, "found_in_instruct": 0.0}
    lineage = replace(
        lineage_of(), **nothing, neurons_sampled=0, tensors_compared=0, median_cosine={}, share_identical_tensors=0.0,
        layer_of=(None,) * 4, verdict="unrelated", reason="their neurons cannot be compared: hidden size 8 against 16",
    )  # fmt: skip
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", undrawn_html(stored(lineage)))
    assert "unrelated" in cells
    assert not [cell for cell in cells if cell.endswith("of 0") or "nearest neighbour" in cell]
    assert not [cell for cell in cells if "–, –" in cell]


def test_the_source_of_a_list_is_text_and_never_markup(stored: Any) -> None:
    bad = "<script>x</script>.csv (41 of 60, those of positive weight)"
    page = parsed(report_html(stored(replace(weights_report_of(), source=bad))))
    assert page.tags.count("script") == SCRIPTS
    assert " ".join(page.texts).count(bad) >= 2


def test_a_mapping_without_margins_says_so(stored: Any) -> None:
    report = weights_report_of()
    none = replace(report.mapped, margin=np.full(report.h_neurons.size, np.nan))
    text, _ = texts_and_titles(undrawn_html(stored(replace(report, mapped=none, lineage=None))))
    assert "so there is no margin" in text
    assert "negative where another is nearer" not in text


def test_weights_of_permuted_neurons_come_with_a_warning(stored: Any) -> None:
    html = undrawn_html(stored(replace(lineage_of(), verdict="descendant, neurons permuted")))
    assert "the neurons of this pair were permuted or left out" in html


def test_the_report_of_a_lineage_run_has_the_evidence_alone(stored: Any) -> None:
    text, titles = texts_and_titles(report_html(stored(lineage_of())))
    assert titles == [
        "Verdict", "Lineage", "Figures", "Appendices", "Weights by kind", "Configuration", "Time by stage",
        "Method in short", "Settings and provenance",
    ]  # fmt: skip
    assert "Is org/instruct@0123abc a descendant of org/base?" in text
    assert "not which came first" in text
    assert "stability rank" not in text


def test_without_anything_to_draw_there_is_no_figure_heading(stored: Any) -> None:
    _, titles = texts_and_titles(report_html(stored(replace(lineage_of(), tensors=()))))
    assert titles[:3] == ["Verdict", "Lineage", "Appendices"]


@pytest.mark.costly
def test_the_report_of_given_neurons_names_their_file_and_has_no_path(stored: Any) -> None:
    html = report_html(stored(given_report()))
    text, titles = texts_and_titles(html)
    assert "The instruct probe: no search: neurons from their_neurons.json (sha256 0a1b2c3d4e5f); 6 H-Neurons" in text
    assert "were not searched for: they are those of their_neurons.json" in text
    assert "were taken as given (their_neurons.json" in text
    assert "No forward pass" not in text
    place = titles.index("Backward transfer")
    assert titles[place : place + 4] == ["Backward transfer", "Parameter evolution", "Overlap", "Identification"]


@pytest.mark.slow
def test_a_file_name_of_given_neurons_is_text_and_never_markup(stored: Any) -> None:
    bad = "<script>x</script>.json"
    report = given_report()
    page = parsed(report_html(stored(replace(report, identification=replace(report.identification, source=bad)))))
    assert page.tags.count("script") == SCRIPTS
    assert " ".join(page.texts).count(bad) >= 3


def test_lineage_evidence_settings_and_counterparts_are_cells(stored: Any) -> None:
    report = pruned_weights_report()
    html = undrawn_html(stored(report))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    for cell in (
        "descendant, pruned or widened", "0.980 of 64", "299 and 300", "1: lm_head.weight", "rope_scaling.factor",
        "absent", "[1, 106]", "unmapped", "[3e-05, 0.00012]",
    ):  # fmt: skip
        assert cell in cells, cell
    mapped, listed = (int((ids >= 0).sum()) for ids in (report.alignment.base_ids, report.mapped.base_ids))
    assert (mapped < 64, 0 < listed < 6) == (True, True)
    assert f"{mapped} of 64 neurons have a counterpart, {listed} of 6 H-Neurons among them." in html
    assert ">0 of 16</td>" in html


def test_a_mapping_that_lineage_does_not_support_leads_with_that(stored: Any) -> None:
    report = weights_report_of()
    reason = "the two checkpoints are not related by their weights"
    html = undrawn_html(stored(replace(report, alignment=replace(report.alignment, reason=reason))))
    assert f"Not to be trusted: {reason}." in html


def test_layers_in_other_places_are_listed_one_by_one(stored: Any) -> None:
    html = undrawn_html(stored(replace(lineage_of(), layer_of=(0, 2, None, 3))))
    assert ">0, 2, –, 3</td>" in html


def test_a_list_without_weights_has_no_weight_column(stored: Any) -> None:
    text, _ = texts_and_titles(undrawn_html(stored(replace(weights_report_of(), weights=None))))
    assert "All 6 of them, by layer and index." in text


def test_names_of_tensors_and_settings_from_outside_are_text(stored: Any) -> None:
    bad = '"><script>alert(1)</script>'
    lineage = lineage_of()
    tensors = (replace(lineage.tensors[0], kind=bad), *lineage.tensors[1:])
    html = report_html(stored(replace(lineage, tensors=tensors, config=(replace(lineage.config[0], base=bad),))))
    page = parsed(html)
    assert page.tags.count("script") == SCRIPTS
    assert bad in page.texts
    assert len(page.ids) == len(set(page.ids))


def test_a_long_list_of_h_neurons_is_folded_and_says_where_the_rest_is(stored: Any) -> None:
    html = undrawn_html(stored(report_of((no_power_of(SETS[0]),), k=130, layers=4, per_layer=100)))
    assert f"The {H_NEURONS_SHOWN} with the largest weights of 130" in html
    assert html[: html.index('id="appendices"')].count("<tr><td") == H_NEURONS_SHOWN


def test_dark_and_print_are_taken_care_of(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    printed = html[html.index("@media print") : html.index("</style>")]
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)pt", printed)]
    assert sizes[0] >= 9  # of text, which other sizes in rem refer to
    assert min(sizes) >= 8
    assert all(float(size) >= 1 for size in re.findall(r"font-size: ([\d.]+)r?em", printed))


def test_narrow_tables_stand_beside_each_other_in_print_where_there_are_two() -> None:
    narrow, wide, lone = (
        ReportTable(name, "", ("quantity", "value"), [("x" * 90, cell)])
        for name, cell in (("narrow", "1"), ("wide", "0.12 " * 20), ("lone", "2"))
    )
    groups = by_width([narrow, narrow, wide, lone])
    assert [(beside, len(tables)) for beside, tables in groups] == [(True, 2), (False, 1), (False, 1)]


@pytest.mark.costly
def test_the_file_is_written_whole_under_its_name(finished: str, tmp_path: Path) -> None:
    figures = attempted(finished, 1, ("svg",))
    path = write_report(finished, 1, tmp_path / "out", figures)
    assert path == tmp_path / "out" / "report.html"
    assert path.read_text() == report_html(finished, 1, figures)
    assert list(path.parent.iterdir()) == [path]


def test_a_report_on_no_run_is_bad_input(finished: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run 5"):
        write_report(finished, 5, tmp_path)


def test_a_claim_stands_with_what_decided_before_any_figure_and_with_every_condition_in_an_appendix(html: str) -> None:
    decided = html[html.index('<dl class="decided">') : html.index("</dl>")]
    assert html.index("</dl>") < html.index("<table") < html.index("<svg")
    assert decided.count("<dt>") == 6
    assert '<dd class="why">probability that chance shares none: 0.75, not &lt; 0.5' in decided
    table = html[html.index('<table class="graded">') :]
    table = table[: table.index("</table>")]
    assert table.count("<tbody>") == 6
    row = '<code>overlap.p_zero</code></td><td class="l">–</td><td>0.75</td><td>&lt; 0.5</td><td class="l">no</td>'
    assert f"probability that chance shares none {row}" in table
    assert '<td class="l">not measured</td>' in table
    assert '<td>0.001</td><td>&lt; 0.05</td><td class="l">yes</td>' in table
    assert '<dl class="claims">' not in html


@pytest.mark.slow
def test_a_run_without_evidence_has_its_sentence_and_neither_claims_nor_a_section_on_interventions(stored: Any) -> None:
    html = report_html(stored(replace(report_of(), evidence=Evidence())))
    _, titles = texts_and_titles(html)
    without = ("Conditions", *FOLDED[FOLDED.index("What transfer has to beat") : FOLDED.index("Backward transfer")])
    assert titles == [*PARTS, *(title for title in FOLDED if title not in without)]
    assert "The H-Neurons are readable in the base model." in html
    assert '<dl class="claims">' not in html
    assert "graded" not in html[html.index("<body>") :]


def test_without_an_intervention_one_sentence_says_that_no_neuron_was_intervened_on(stored: Any) -> None:
    report = report_of()
    html = undrawn_html(
        stored(
            replace(report, evidence=replace(report.evidence, causal=(), side_effects=(), patching=(), reply_judges=()))
        )
    )
    section = html[html.index("<h3>Intervention</h3>") : html.index("<h3>Backward transfer</h3>")]
    assert "No neuron was intervened on in this run" in section
    assert "<table" not in section
    assert "None." not in section
    assert "nothing was intervened on in this run" in html


def test_a_report_on_scaled_neurons_says_that_a_model_was_run_and_what_was_scaled(stored: Any) -> None:
    html = report_html(stored(compliance_report_of()))
    assert "no model was run" not in html
    assert "multiplied by a factor" in html
    assert "What does scaling neurons of org/instruct" in html
    assert "make the instruct model yield more, premises" in html


def test_with_an_intervention_the_limits_point_to_its_table(html: str) -> None:
    assert "what scaling them did is in the tables of interventions" in html
    assert "nothing was intervened on" not in html


@pytest.mark.costly
@pytest.mark.parametrize("command", ["compare", "compare --control permuted-index"])
def test_a_negative_control_says_so_before_its_verdict_and_a_real_run_does_not(tmp_path: Path, command: str) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    with Store.open(url) as store:
        run = stored_run(store, report_of(), command=command)
    html = report_html(url, run) if "--control" in command else undrawn_html(url)
    says = "Negative control: permuted-index. There is nothing to find here: no verdict may be"
    assert (says in html) == ("--control" in command)
    if "--control" in command:
        assert html.index(says) < html.index('<section id="verdict"')
        assert "a negative control (permuted-index)" in html  # in each figure's metadata


@pytest.mark.parametrize("quick", [True, False])
def test_a_quick_look_says_so_first_and_in_every_caption(tmp_path: Path, quick: bool) -> None:
    """In the report of the run and of its study, on the terminal, and as a column."""
    url = f"sqlite:///{tmp_path / 'quick.db'}"
    with Store.open(url) as store:
        stored_run(store, report_of(), **({"quick": True} if quick else {}))
        study_of_runs(store, "one", "One run", [1])
    page = undrawn_html(url)
    assert (page.find(QUICK_LOOK) in range(page.index('<section id="verdict"'))) == quick
    assert (QUICK_LOOK in study_html(url, "one", Attempt([], {}))) == quick
    [caption] = [each.caption for each in drawn(url) if each.spec.name == "figure_4a"]
    assert ("a quick look with few draws" in caption[-1]) == quick
    console = Console(file=io.StringIO(), width=200)
    print_study(study_summary(url, "one") | {"database": url}, console)
    print_run({"database": url, "run": 1}, console)
    assert console.file.getvalue().count(QUICK_LOOK) == 2 * quick
    assert run_query.run_query(url, "run", {"run": 1}).records()[0]["quick"] == quick


def test_the_report_of_a_timeline_has_its_points_its_probe_and_no_claim(timeline: str) -> None:
    html = report_html(timeline)
    text, titles = texts_and_titles(html)
    assert "Since when are the H-Neurons of org/instruct@0123abc there?" in text
    assert titles[:6] == [
        "Verdict", "Readable at each point", "Figures", "Appendices", "Weights and activations at each point",
        "Identification",
    ]  # fmt: skip
    assert not {"Backward transfer", "Parameter evolution", "Overlap", "Intervention"} & set(titles)
    assert "AUROC 0.58 [0.56, 0.60] at org/model@step-0350 and 0.88 [0.86, 0.90] at org/model@step-1400" in text
    assert "against 0.51 [0.48, 0.54] at random initialisation" in text
    assert 'id="figure_trajectory"' in html
    assert "graded" not in html[html.index("<body>") :]
    page = parsed(html)
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.slow
def test_figures_and_report_of_a_run_are_drawn_once(
    finished: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report holds the figures that were written; each is rendered in three forms and no more."""
    saved: list[str] = []
    save = Figure.savefig

    def counted(figure: Figure, target: Any, **options: Any) -> None:
        saved.append(options["format"])
        save(figure, target, **options)

    monkeypatch.setattr(Figure, "savefig", counted)
    files = write_results(finished, 1, tmp_path)
    names = [Path(path).stem for path in files["figures"] if path.endswith(".svg")]
    assert sorted(saved) == sorted(["pdf", "png", "svg"] * len(names))
    page = Path(files["report"]).read_text(encoding="utf-8")
    assert page.count("<svg") == len(names)
    for name in names:
        shapes = re.findall(r' d="[^"]+"', (tmp_path / f"{name}.svg").read_text(encoding="utf-8"))
        assert shapes
        assert all(shape in page for shape in shapes), name


def test_replies_with_scaled_neurons_stand_side_by_side_with_their_reading(stored: Any) -> None:
    """One article an item, folded; what a model says is text, and cut where it is long; a question keeps its end."""
    said = replies_of("instruct", "premises", f"{MARKUP}{'x' * 1000}")
    said = tuple(replace(row, message=f"Q{'y' * 1000}?") if row.item == "q2" else row for row in said)
    page = undrawn_html(stored(replace(compliance_report_of(), examples=said)))
    assert parsed(page).tags.count("script") == SCRIPTS
    part = page[page.index('<section id="replies-with-scaled-neurons">') :]
    first, second = part[: part.index("</section>")].split("<article>")[1:]
    assert page.index('id="appendices"') < page.index('<section id="replies-with-scaled-neurons">')
    assert re.findall(r"<dt>([^<]+)</dt>", first) == [
        "α = 0: resisted, by rule", "α = 1: declined, by rule", "α = 3: yielded, by rule"
    ]  # fmt: skip
    replies = re.findall(r'<dd class="said">([^<]*)</dd>', first)
    assert replies[:2] == ["It is not so."] * 2
    assert replies[2] == f"{escape(MARKUP)}{'x' * (399 - len(MARKUP))}…"
    assert '<p class="asked">Why q1?</p>' in first
    assert "1 of 12 items are read otherwise at α = 3 than at α = 0." in first
    assert f'<p class="asked">Q{"y" * 198}…{"y" * 199}?</p>' in second
    assert '<a href="#replies-with-scaled-neurons">' in page
    assert "Replies with scaled neurons" not in undrawn_html(stored(report_of()))


def test_an_option_that_was_not_said_is_named_as_missing(stored: Any) -> None:
    rows = tuple(replace(row, reply="", read_by="option") for row in replies_of("base", "letters"))
    page = undrawn_html(stored(replace(compliance_report_of(), examples=rows)))
    assert page.count('<dd class="said">(none of the options, or nothing)</dd>') == 6
    assert "α = 1: declined, by the chosen option" in page
