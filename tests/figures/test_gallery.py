"""The gallery: every figure has its query, its files say what was drawn, and files are whole or absent."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from artists import assert_inside
from PIL import Image
from synthetic import (
    NO_DRIFT,
    given_report,
    lineage_of,
    mapped_of,
    no_power_of,
    no_probe_report,
    pruned_weights_report,
    report_of,
    stored_run,
    transfer_of,
    weights_report_of,
)
from synthetic_evidence import compliance_report_of, timeline_report_of

from provenance.analyses.controls.control_sets import SET_KINDS
from provenance.analyses.results.reports import Evidence
from provenance.db.reading.run_query import QUERIES, run_query
from provenance.db.store import Store
from provenance.errors import InputError, StoreError
from provenance.figures.catalogue import GALLERY
from provenance.figures.drawing import style
from provenance.figures.gallery import Drawn, attempted, draw, drawn, image
from provenance.figures.tables import latex
from provenance.figures.wording.run_words import MOST_WORDS
from provenance.files import write_whole
from provenance.processes.fork_join import at_most
from provenance.words import baseline_words

ROOT = Path(__file__).parents[2]
EVIDENCE = ["figure_ladder", "figure_two_by_two", "figure_nulls"]


def test_every_figure_has_its_queries() -> None:
    for spec in GALLERY.values():
        for query, params in spec.data.values():
            assert query in QUERIES
            assert set(params) <= set(QUERIES[query].defaults)
        assert set(spec.context) <= set(QUERIES)
        assert {"run", *spec.context} == set(spec.context)


def test_drawing_needs_no_torch() -> None:
    program = "import sys, provenance.figures.gallery, provenance.figures.report.html; sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0


@pytest.fixture(scope="module")
def gallery(finished: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Folder and files of the finished run's figures, in every format; for reading only."""
    folder = tmp_path_factory.mktemp("gallery") / "new" / "folder"
    return folder, draw(finished, None, folder)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_figures_that_several_processes_render_are_the_same_and_one_that_fails_costs_itself_only(
    finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(made: Drawn, forms: Sequence[str]) -> dict[str, bytes]:
        if made.spec.name == "figure_4a":
            raise ValueError("no ink")
        return {form: image(made, form) for form in forms}

    monkeypatch.setattr("provenance.figures.gallery._rendered", some)
    found = []
    for processes in (1, 3):
        with at_most(processes):
            found.append(attempted(finished, 1, ("svg",)))
    assert [each.failed for each in found] == [{"figure_4a": "ValueError: no ink"}] * 2
    one, several = ({each.spec.name: each.images for each in attempt.figures} for attempt in found)
    assert one == several
    assert list(one) == list(several)
    assert len(one) > 4
    assert all(one.values())


def test_each_figure_comes_as_pdf_svg_png_csv_caption_and_table(gallery: tuple[Path, list[Path]]) -> None:
    folder, paths = gallery
    names = {path.name for path in paths}
    # Drift by layer stands where the lineage figure has no neurons; the others are of runs of their own kind.
    assert {path.stem for path in paths if path.suffix == ".png"} == set(GALLERY) - {
        "figure_drift",
        "figure_trajectory",
        "figure_3",
    }
    for name in sorted(set(GALLERY) - {"figure_drift", "figure_trajectory", "figure_3"}):
        assert {f"{name}.{form}" for form in ("pdf", "svg", "png", "csv", "txt", "tex")} <= names
    assert {path.name for path in folder.iterdir()} == names
    assert all(path.stat().st_size > 0 for path in paths)


def test_the_csv_holds_the_numbers_of_the_query_with_all_digits(
    finished: str, gallery: tuple[Path, list[Path]]
) -> None:
    folder, _ = gallery
    with (folder / "figure_4a.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    asked = run_query(finished, "transfer").records()
    assert [float(row["auroc"]) for row in read] == [row["auroc"] for row in asked]
    assert [row["verdict"] for row in read] == [row["verdict"] for row in asked]
    with (folder / "figure_4b_bins.csv").open(newline="") as file:
        assert sum(int(row["neurons"]) for row in csv.DictReader(file)) == 64


def test_the_files_name_their_run(gallery: tuple[Path, list[Path]]) -> None:
    folder, _ = gallery
    assert b"run 1 k1" in (folder / "figure_4a.pdf").read_bytes()
    assert "run 1 k1" in (folder / "figure_4a.svg").read_text()
    with Image.open(folder / "figure_4a.png") as picture:
        assert picture.info["Source"] == "run 1 k1"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert picture.width == 3.25 * 300
    assert "% run 1 (k1)" in (folder / "figure_4a.tex").read_text()


@pytest.mark.costly
def test_the_same_run_gives_the_same_bytes(finished: str, gallery: tuple[Path, list[Path]], tmp_path: Path) -> None:
    again = {path.name: path.read_bytes() for path in draw(finished, 1, tmp_path)}
    assert again == {path.name: path.read_bytes() for path in gallery[1]}


def test_pdf_fonts_are_truetype(finished: str) -> None:
    pdf = image(drawn(finished)[0], "pdf")
    assert b"/Type3" not in pdf
    assert b"/TrueType" in pdf or b"/CIDFontType2" in pdf


@pytest.mark.slow
def test_vector_files_stay_small_with_many_neurons(stored: Any) -> None:
    url = stored(report_of(k=300, layers=8, per_layer=400))
    for figure in drawn(url):
        assert len(image(figure, "pdf")) < 60_000
        assert len(image(figure, "svg")) < 250_000


def test_captions_give_n_k_interval_and_null(stored: Any) -> None:
    import numpy as np

    report = report_of((transfer_of("a", 0.8, np.random.default_rng(0)), no_power_of("b")), k=6)
    first, second, *_ = drawn(stored(report))
    words = " ".join(first.caption)
    nulls = [rung for rung in report.evidence.ladder if rung.dataset == "a" and rung.draws]
    assert tuple(rung.kind for rung in nulls) == SET_KINDS
    assert "7 weights, unchanged; k = 6 H-Neurons" in words
    assert "a: 0.80 [0.76, 0.84], n = 200 faithful + 180 hallucinated" in words
    for rung in nulls:
        null = f"{rung.auroc.estimate:.2f} [{rung.sets_low:.2f}, {rung.sets_high:.2f}]"
        assert f"{baseline_words(rung.kind)} {null} over 40 draws" in words
    assert "largest p 0.004, after Holm’s correction 0.008" in words
    assert "readable in the base model" in words
    assert "b: no power: 0 faithful, 37 hallucinated." in words
    drift = " ".join(second.caption)
    assert "the k = 6 H-Neurons changed 0.70 [0.50, 0.90] times as much as neurons of the same layers, weight" in drift
    assert "one-sided permutation p = 0.040." in drift
    result = report.drift
    assert "all 64 neurons" in drift
    ranks = f"Mean rank {result.mean_rank:.3f}; of as many neurons of the same layers 0.520 (SD {result.null_sd:.3f})"
    assert f"{ranks}, one-sided permutation of ranks p = 0.020." in drift
    assert "of cosine similarities (the paper’s) p = 0.030, of ranks p = 0.012." in drift


def test_the_caption_of_given_neurons_says_that_they_were_not_searched_for(stored: Any) -> None:
    figures = {figure.spec.name: figure for figure in drawn(stored(given_report()))}
    for name in ("figure_4a", "figure_4b", "figure_ladder", "figure_two_by_two", "figure_nulls"):
        figure = figures[name]
        assert "were not searched for: they are those of their_neurons.json" in figure.caption[0]
        assert "No forward pass" not in figure.caption[0]


def test_a_run_without_probe_is_drawn_as_having_no_power(stored: Any, tmp_path: Path) -> None:
    paths = draw(stored(no_probe_report()), None, tmp_path, forms=())
    notes = [path.read_text().partition(r"\end{table}")[2] for path in paths if path.suffix == ".tex"]
    assert len(notes) == 3
    assert sum("no power" in note for note in notes) == 2


@pytest.mark.costly
@pytest.mark.parametrize(
    ("results", "names"),
    [
        (
            report_of(),
            [
                "figure_4a",
                "figure_4b",
                "figure_layers",
                "figure_replicates",
                *EVIDENCE,
                "figure_path",
                "figure_lineage",
            ],
        ),
        (given_report(), ["figure_4a", "figure_4b", "figure_layers", "figure_replicates", *EVIDENCE, "figure_lineage"]),
        (
            replace(report_of(), evidence=Evidence(), replicates=()),
            ["figure_4a", "figure_4b", "figure_layers", "figure_path", "figure_lineage"],
        ),
        (timeline_report_of(), ["figure_trajectory", "figure_path"]),
        (weights_report_of(), ["figure_4b", "figure_nulls", "figure_lineage"]),
        (weights_report_of(k=0), ["figure_lineage"]),
        (lineage_of(), ["figure_lineage"]),
        (replace(weights_report_of(k=0), lineage=None), ["figure_drift"]),
        (replace(weights_report_of(), lineage=None, drift_tests=()), ["figure_4b", "figure_drift"]),
        (pruned_weights_report(), ["figure_4b", "figure_nulls", "figure_lineage", "figure_drift"]),
    ],
)
def test_a_run_has_the_figures_of_what_it_looked_at(
    stored: Any, tmp_path: Path, results: Any, names: list[str]
) -> None:
    paths = draw(stored(results), None, tmp_path / "out", forms=())
    assert [path.stem for path in paths if path.suffix == ".txt"] == names


def test_a_run_with_nothing_to_draw_is_bad_input_and_no_folder_is_made(stored: Any, tmp_path: Path) -> None:
    url = stored(replace(lineage_of(), tensors=()))
    assert drawn(url) == []
    with pytest.raises(InputError, match="run 1, of a pair that has no rows to compare"):
        draw(url, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_caption_of_a_list_says_where_it_is_from_and_that_no_model_was_run(stored: Any) -> None:
    figure = drawn(stored(weights_report_of()))[0]
    words = " ".join(figure.caption)
    assert "No forward pass was run" in words
    assert "their_neurons.json" in words
    assert "k = 6" in words


def test_the_caption_counts_neurons_that_have_no_counterpart(stored: Any) -> None:
    report = pruned_weights_report()
    figure = drawn(stored(report))[0]
    words = " ".join(figure.caption)
    missing = report.alignment.unmapped.size
    assert f"all {64 - missing} neurons with a counterpart in the base (dashed; {missing} others have none)" in words
    lost = int((report.mapped.base_ids < 0).sum())
    assert f"{lost} of the H-Neurons have no counterpart in the base and no rank." in words


def test_a_list_of_which_nothing_is_mapped_has_no_power(stored: Any) -> None:
    report = pruned_weights_report()
    lost = replace(NO_DRIFT, k=1)
    one = report.h_neurons[:1]
    mapped = mapped_of(one, report.alignment)
    url = stored(replace(report, h_neurons=one, weights=None, mapped=mapped, drift=lost, drift_tests=()))
    words = " ".join(drawn(url)[0].caption)
    assert "No H-Neuron has a counterpart in the base, so there is no power." in words


def test_the_lineage_caption_gives_n_range_identical_rows_and_floor(stored: Any) -> None:
    words = drawn(stored(weights_report_of()))[-1].caption
    gate = "gate: n = 64 rows in 4 layers, median 1 − cosine 7.5e-05, over layers [3e-05, 0.00012]; 0.000 of rows"
    assert any(line.startswith(gate) for line in words)
    assert "1e-06 (dashed" in words[0]
    assert "In the table only: input_layernorm, embed_tokens, lm_head." in words
    assert "Lineage: descendant: 100 % of 64 sampled neurons are found at their own index." in words
    assert "dashed" not in drawn(stored(lineage_of()))[0].caption[0]


def test_the_drift_caption_and_table_give_n_range_and_how_neurons_were_matched(stored: Any) -> None:
    report = pruned_weights_report()
    figure = drawn(stored(report))[-1]
    compared = int((report.alignment.base_ids >= 0).sum())
    missing = report.alignment.unmapped.size
    assert "its counterpart in the base, found by its weights" in figure.caption[0]
    assert f"{missing} neurons have no counterpart and are left out." in figure.caption[0]
    assert any(
        line.startswith(f"up: n = {compared} neurons in 3 layers, median 1 − cosine ") for line in figure.caption
    )
    assert [row[:3] for row in figure.spec.table(figure.parts).rows] == [
        (kind, str(compared), "3") for kind in ("gate", "up", "down")
    ]


def test_a_lineage_figure_of_permuted_neurons_says_that_its_mlp_panels_are_about_order(stored: Any) -> None:
    """In the caption and in the table, without the sentence on unrelated models that would read like a verdict."""
    figure = drawn(stored(replace(lineage_of(), verdict="descendant, neurons permuted")))[0]
    for words in (figure.caption[0], figure.spec.table(figure.parts).caption):
        assert "compared with the row of the same index, but the neurons of this pair were permuted" in words
        assert "mapped by assignment" in words
        assert "Two unrelated models" not in words


def test_a_lineage_figure_of_a_pruned_pair_says_why_panels_are_missing(stored: Any) -> None:
    lineage = lineage_of()
    others = tuple(tensor for tensor in lineage.tensors if tensor.kind not in ("gate", "up", "down"))
    figure = drawn(stored(replace(lineage, verdict="descendant, pruned or widened", tensors=others)))[0]
    for words in (figure.caption[0], figure.spec.table(figure.parts).caption):
        assert "gate, up and down have no panels" in words
        assert "different numbers of neurons" in words


def test_a_rank_that_rests_on_position_alone_is_not_shown_like_a_result(stored: Any, tmp_path: Path) -> None:
    report = weights_report_of()
    reason = f"the two checkpoints are not related by their weights (1 % & nothing){' at all' * 30}"
    url = stored(replace(report, alignment=replace(report.alignment, reason=reason)))
    figure = drawn(url)[0]
    said = figure.figure.axes[0].get_legend().get_title().get_text()
    assert said == "k = 6: no power,\nneurons not matched,\ncompared by position only"
    assert "Not to be trusted, neurons were compared by position only." in figure.caption[0]
    draw(url, None, tmp_path, forms=())
    assert r"not related by their weights (1 \% \& nothing)" in (tmp_path / "figure_4b.tex").read_text()


def test_the_source_of_a_list_is_in_caption_and_table_with_special_characters_escaped(
    stored: Any, tmp_path: Path
) -> None:
    source = "my_list.csv (41 of 60, those of positive weight; 100 %)"
    draw(stored(replace(weights_report_of(), source=source)), None, tmp_path, forms=())
    assert source in (tmp_path / "figure_4b.txt").read_text()
    tex = (tmp_path / "figure_4b.tex").read_text()
    assert r"my\_list.csv (41 of 60, those of positive weight; 100 \%)" in tex


def test_tables_are_booktabs_with_special_characters_escaped(stored: Any, tmp_path: Path) -> None:
    draw(stored(report_of((no_power_of("a_b & 50% $x$ #1 {é} \\cmd"),))), None, tmp_path, forms=())
    tex = (tmp_path / "figure_4a.tex").read_text()
    assert r"a\_b \& 50\% \$x\$ \#1 \{é\} \textbackslash{}cmd & --" in tex
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert tex.count(rule) == 1
    body = tex[tex.index(r"\toprule") : tex.index(r"\bottomrule")]
    columns = len(re.search(r"\\begin{tabular}{(\w+)}", tex)[1])
    assert all(len(re.findall(r"(?<!\\)&", line)) == columns - 1 for line in body.splitlines() if line.endswith(r"\\"))


def test_a_minus_sign_is_one_that_every_latex_engine_has(gallery: tuple[Path, list[Path]]) -> None:
    tex = (gallery[0] / "figure_lineage.tex").read_text()
    assert "1 $-$ cos" in tex
    assert "−" not in tex


def test_escaping_leaves_no_special_character_bare() -> None:
    assert latex.escaped("~^_%&#$") == r"\textasciitilde{}\textasciicircum{}\_\%\&\#\$"


@pytest.mark.parametrize("run", [2, 99])
def test_a_run_that_is_not_there_or_has_no_results_is_bad_input(stored: Any, tmp_path: Path, run: int) -> None:
    from synthetic import begin

    url = stored(report_of())
    with Store.open(url) as store:
        assert begin(store, "unfinished") == 2
    with pytest.raises(InputError, match=f"run {run}"):
        draw(url, run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_one_clear_error(finished: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="remedy: make the folder writable"):
        draw(finished, None, tmp_path / "file" / "figures", forms=())


FILL_UP = """
import resource, sys
from pathlib import Path
from provenance.figures.wording.run_words import MOST_WORDS
from provenance.files import write_whole
from provenance.errors import StoreError
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), b"new" * 1000)
except StoreError as error:
    sys.exit(0 if "free space" in str(error) else 3)
sys.exit(4)
"""


def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    file = write_whole(tmp_path / "figure.pdf", b"old")
    done = subprocess.run(
        [sys.executable, "-c", FILL_UP, str(file)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_drawing_leaves_the_global_style_alone(finished: str) -> None:
    before = dict(mpl.rcParams)
    image(drawn(finished)[0], "png")
    assert dict(mpl.rcParams) == before


def test_the_style_is_data_that_can_be_joined() -> None:
    with style.paper(**{"font.size": 11.0}):
        assert mpl.rcParams["font.size"] == 11.0
        assert mpl.rcParams["pdf.fonttype"] == 42


def test_figures_that_another_run_left_in_the_folder_are_removed(tmp_path: Path, finished: str) -> None:
    """A path figure of an earlier comparison would be taken for this run's; files of other names stay."""
    left = [tmp_path / "figure_drift.pdf", tmp_path / "figure_drift_drift.csv"]
    kept = tmp_path / "figure_drift_of_mine.pdf"
    for path in (*left, kept):
        path.write_bytes(b"old")
    drawn = draw(finished, None, tmp_path, forms=())
    assert "figure_drift" not in {path.stem for path in drawn}
    assert not any(path.exists() for path in left)
    assert kept.read_bytes() == b"old"


@pytest.mark.costly
def test_no_caption_has_more_than_sixty_words_whatever_was_run(stored: Any, timeline: str) -> None:
    """What no longer fits stands below it; the CSV and the table have the numbers."""
    unrelated = replace(
        weights_report_of(), alignment=replace(weights_report_of().alignment, reason="unrelated models")
    )
    kinds = (
        report_of(), given_report(), no_probe_report(), pruned_weights_report(), unrelated, lineage_of(),
        compliance_report_of(),
    )  # fmt: skip
    everything = [*drawn(timeline), *(figure for results in kinds for figure in drawn(stored(results)))]
    assert {figure.spec.name for figure in everything} == set(GALLERY)
    for figure in everything:
        caption = figure.caption[0]
        assert 10 < len(caption.split()) <= MOST_WORDS, (figure.spec.name, caption)
        assert caption.endswith("."), figure.spec.name
        assert len(figure.caption) == len(set(figure.caption))


@pytest.mark.costly
def test_the_file_of_a_caption_holds_the_caption_alone_and_the_table_what_else_was_said(
    finished: str, gallery: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    """Nothing that was said is lost: what is no caption stands behind the table, a comment a line."""
    folder, _ = gallery
    for figure in drawn(finished):
        short, *notes = figure.caption
        assert (folder / f"{figure.spec.name}.txt").read_text() == f"{short}\n"
        behind = (folder / f"{figure.spec.name}.tex").read_text().partition("\\end{table}\n")[2]
        assert behind.splitlines() == [f"% {latex.escaped(note)}" for note in notes]
    url = f"sqlite:///{tmp_path / 'control.db'}"
    with Store.open(url) as store:
        run = stored_run(store, report_of(), command="compare --control permuted-index")
    draw(url, run, tmp_path / "out", forms=())
    texts = [path.read_text() for path in (tmp_path / "out").glob("*.txt")]
    assert texts
    assert all(text.startswith("Negative control: permuted-index.") and text.count("\n") == 1 for text in texts)
    assert all(len(text.split()) > 20 for text in texts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["neurips", *(pytest.param(each, marks=pytest.mark.slow) for each in style.VENUES if each != "neurips")]
)
def test_figures_have_the_widths_of_a_venue_and_lie_inside_them(finished: str, timeline: str, name: str) -> None:
    widths = style.VENUES[name]
    for page in (False, True):
        with style.venue(name, page=page):
            figures = [*drawn(finished), *drawn(timeline)]
        for each in figures:
            assert each.figure.get_figwidth() in ({widths.page} if page else {widths.column, widths.page})
            assert_inside(each.figure)
    assert (style.column_in(), style.page_in()) == (3.25, 6.75)  # and nothing of it stays
