"""The report's tables about evidence: what each verdict was held against, and what it could have found.

The one idea: a table stands only where the run has rows for it, so that a run of an older version does not
read as if something had been looked for and not found.
"""

from collections.abc import Callable, Sequence

from figures.evidence_words import (
    OUTCOMES,
    OVERLAP_NULLS,
    SCALES,
    SETS,
    against_words,
    detectable,
    has_evidence,
    p_cell,
)
from figures.ladder_words import ladder_rows
from figures.nulls_words import drift_cells, quantile_words
from figures.tables import ReportTable, Results
from figures.trajectory_words import AREA_HEADER, KEPT_HEADER, area_cells, kept_cells, ordered
from figures.two_by_two_words import cell_mark
from figures.words import NOTHING, Record, compact, first, fixed, interval
from provenance.probe_words import baseline_words

Cell = Callable[[Record], str]


def ladder(results: Results) -> ReportTable | None:
    """Everything that transfer has to beat."""
    rungs = results["ladder"].records()
    if not rungs:
        return None
    note = (
        "On the base model’s own answers: AUROC of the probe, weights unchanged, and of what it is held against; gain: "
        "the probe’s AUROC minus the baseline’s, paired by question. Neuron sets are refitted on the same rows and "
        "transferred the same way: means over sets. Length, texts and log-probability together: a logistic regression, "
        "cross-fitted by question; its gain is what adding the probe to it brings. p: one-sided; Holm: over question "
        "sets with power. The probe’s own p is the largest of those it has to beat."
    )
    deciding = [
        f"{row['dataset']}: beaten least clearly: {baseline_words(row['decided_by'])}"
        for row in results["transfer"].records()
        if row["decided_by"]
    ]
    header = ("question set", "predictor", "sets", "AUROC", "gain of the probe", "p", "p (Holm)")
    rows = ladder_rows(rungs, results["transfer"].records())
    words = " ".join([note, *([f"{'; '.join(deciding)}."] if deciding else [])])
    return ReportTable("What transfer has to beat", words, header, rows, (0, 1))


def cells(results: Results) -> ReportTable | None:
    """Whose neurons, whose answers, whose prompt."""
    records = results["cells"].records()
    if not records:
        return None
    columns: dict[str, Cell] = {
        "question set": lambda row: row["dataset"],
        "neurons": lambda row: row["activations"],
        "answers": lambda row: row["answers"],
        "prompt": lambda row: row["prompt"],
        "AUROC": lambda row: f"{cell_mark(row)} {interval(row, 'auroc')}" if row["auroc"] is not None else NOTHING,
        "random p95": lambda row: fixed(row["random_p95"]),
        "layer-matched p95": lambda row: fixed(row["layer_matched_p95"]),
        "n (f + h)": lambda row: f"{row['n_faithful']} + {row['n_hallucinated']}",
        "not placed": lambda row: str(row["n_dropped"]),
        "why there is no number": lambda row: row["reason"] or NOTHING,
    }
    note = (
        "The instruct checkpoint’s probe, weights unchanged, on one model’s neurons while it reads one model’s answers "
        "with that model’s labels, in one model’s prompt. p95: 95th percentile of refitted neuron sets on the same "
        "rows. ●: the interval lies above 0.5 and both p95. Not placed: answers that could not be put in that prompt."
    )
    return _table("Whose labels, whose text, whose prompt", note, columns, records, words=4)


def agreement(results: Results) -> ReportTable | None:
    """Whether both models are right on the same questions, and whose labels transfer follows."""
    records = results["agreement"].records()
    if not records:
        return None
    columns: dict[str, Cell] = {
        "question set": lambda row: row["dataset"],
        "same label": lambda row: f"{row['n_agree']} of {row['n_common']}",
        "kappa": lambda row: interval(row, "kappa"),
        "AUROC, labels agree": lambda row: interval(row, "auroc_agree"),
        "AUROC, labels differ": lambda row: interval(row, "auroc_disagree"),
        "why a number is missing": lambda row: row["reason"] or NOTHING,
    }
    note = (
        "Questions on which both models’ answers have a label. AUROC of the instruct checkpoint’s probe on the base "
        "model’s own answers with its own labels; where labels differ, above 0.5 it follows the base’s labels and "
        "below 0.5 the instruct model’s."
    )
    return _table("Where the two models’ labels agree and differ", note, columns, records)


def scales(results: Results) -> ReportTable | None:
    """Transfer with magnitudes put right, and how many single neurons keep their sign."""
    records = results["scales"].records()
    if not records and not results["signs"].rows:
        return None
    columns: dict[str, Cell] = {
        "question set": lambda row: row["dataset"],
        "scale": lambda row: SCALES.get(row["kind"], row["kind"]),
        "AUROC": lambda row: interval(row, "auroc"),
        "random p95": lambda row: fixed(row["random_p95"]),
        "layer-matched p95": lambda row: fixed(row["layer_matched_p95"]),
        "why there is no number": lambda row: row["reason"] or NOTHING,
    }
    note = (
        "CETT values of a neuron differ in size between the models. AUROC on held-out answers with the weights as they "
        "are, with values put on the instruct model’s scale, and with the weights fitted anew: an upper bound. The "
        "base’s own probe on its own answers is the ceiling."
    )
    return _table("Magnitudes", " ".join([note, *_sign_words(results)]), columns, records, words=2)


def _sign_words(results: Results) -> list[str]:
    row = first(results["signs"])
    if not row or row["share"] is None:
        return []
    chance = f", expected of neurons of the same layers {fixed(row['expected'])}" if row["expected"] is not None else ""
    words = (
        f"Signs: {row['agree']} of {row['k']} neurons with a weight ({fixed(row['share'])}) are more active on "
        f"the same kind of answer in both models{chance}, one-sided p {p_cell(row['p_value'])} (n = {row['n_base']} "
        f"answers of the base, {row['n_instruct']} of the instruct checkpoint)."
    )
    return [words]


def drift_tests(results: Results) -> ReportTable | None:
    """Every measure of drift against every matching."""
    records = results["drift-tests"].records()
    if not records:
        return None
    rows = [(*drift_cells(row), fixed(row["z_all"]), fixed(row["z_layer"])) for row in records]
    finer = f" Matched on {quantile_words(records)}." if quantile_words(records) else ""
    note = (
        "Mean stability rank (0 = changed most, 1 = changed least) by each measure; null and SD: exact, over sets of "
        "as many neurons of the same cells; effect: mean rank minus null, with Student's t interval over neurons; p: "
        "one-sided permutation, of being more stable and of being less; least: the smallest mean rank found with "
        "80 % power; z: mean z-score of the measure over all neurons and within the layer, positive = changed more."
    )
    header = ("neurons", "measure", "matched on", "k", "mean rank", "null", "SD", "effect", "p more", "p less", "least",
              "z, all", "z, layer")  # fmt: skip
    return ReportTable("Drift against matched nulls", f"{note}{finer}", header, rows, (0, 1, 2))


def overlap_nulls(results: Results) -> ReportTable | None:
    """How many neurons two searches would share by chance, by what chance means."""
    records = results["overlap-nulls"].records()
    if not records:
        return None
    shared = first(results["overlap"]).get("shared")
    columns: dict[str, Cell] = {
        "drawn from": lambda row: OVERLAP_NULLS.get(row["kind"], row["kind"]),
        "expected": lambda row: fixed(row["expected"], 3),
        "SD": lambda row: fixed(row["sd"], 3),
        "p": lambda row: p_cell(row["p_value"]),
        "P(none shared)": lambda row: fixed(row["p_zero"], 3),
        "least detectable": lambda row: fixed(row["smallest_detectable"], 1),
        "pairs drawn": lambda row: str(row["draws"]) if row["draws"] else "exact",
    }
    note = (
        f"{'' if shared is None else f'Shared neurons: {shared}. '}p: of sharing at least as many. Least detectable: "
        "neurons two searches must be expected to share so that 80 % of such pairs reach p < 0.05."
    )
    return _table("Overlap against its nulls", note, columns, records)


def power(results: Results) -> ReportTable | None:
    """What each test could have found."""
    records = results["power"].records()
    if not records:
        return None
    columns: dict[str, Cell] = {
        "claim": lambda row: row["claim"],
        "against": lambda row: against_words(row["claim"], row["test"]),
        "question set": lambda row: row["dataset"] or NOTHING,
        "k": lambda row: str(row["k"]),
        "n": lambda row: str(row["n"]) if row["n"] else NOTHING,
        "SD under the null": lambda row: compact(row["sd"]),
        "smallest detectable": detectable,
        "unit": lambda row: row["unit"],
    }
    note = (
        "The smallest value of the statistic that the test finds with 80 % power at one-sided 5 %; none: no value "
        "would be found. A verdict of “not distinguishable” says nothing about smaller effects."
    )
    return _table("Power", note, columns, records, words=3)


def intervention(results: Results) -> ReportTable | None:
    """What scaling did; one sentence where nothing was scaled; None for runs that could not have done it."""
    records = results["interventions"].records()
    if not records:
        if not has_evidence(results):
            return None
        note = (
            "No neuron was intervened on in this run, so nothing here says what the neurons do: at most that they are "
            "readable."
        )
        return ReportTable("Intervention", note, (), [])
    columns: dict[str, Cell] = {
        "model": lambda row: row["stage"],
        "α": lambda row: f"{row['alpha']:g}",
        "change of": lambda row: OUTCOMES.get(row["outcome"], row["outcome"]),
        "neurons scaled": lambda row: SETS.get(row["kind"], row["kind"]),
        "k": lambda row: str(row["k"]),
        "sets": lambda row: str(row["n_draws"]) if row["n_draws"] else NOTHING,
        "effect": lambda row: interval(row, "effect", 3),
        "p of the H-Neurons": lambda row: p_cell(row["p_value"]),
    }
    note = (
        "z of the neurons times α in the forward pass; change against the model as it is. Log-probabilities: mean over "
        "the model’s own answers, nats per token. H-Neurons: 95 % interval by question; control sets of as many "
        "neurons: mean and middle 95 % of sets. p: share of sets, the H-Neurons among them, with an effect at least as "
        "far in the expected direction."
    )
    return _table("Intervention", note, columns, records, words=4)


def trace(results: Results) -> ReportTable | None:
    """What can be read at every point of a timeline, the floor first."""
    records = ordered(results["trace"].records())
    if not records:
        return None
    rows = [(*area_cells(row), row["reason"] or NOTHING) for row in records]
    note = (
        "AUROC of the last checkpoint’s probe, weights unchanged, on the last checkpoint’s answers as each one reads "
        "them, and on each one’s own answers, with the higher 95th percentile of random and layer-matched neuron sets; "
        "n: own answers, faithful + hallucinated."
    )
    header = (*AREA_HEADER, "why numbers are missing")
    return ReportTable("Readable at each point", note, header, rows, (0, 1, len(AREA_HEADER)))


def kept(results: Results) -> ReportTable | None:
    """What of weights and activations was there at every point of a timeline."""
    records = ordered(results["trace"].records())
    if not records:
        return None
    note = (
        "From each checkpoint to the last: mean stability rank of the H-Neurons (0 = changed most) against neurons of "
        "the same layers, with its one-sided permutation p; mean 1 − cosine of up and down weights; mean correlation r "
        "of activations over the same tokens. H: H-Neurons."
    )
    return ReportTable("Weights and activations at each point", note, KEPT_HEADER, [kept_cells(r) for r in records])


def _table(
    title: str, note: str, columns: dict[str, Cell], records: Sequence[Record], *, words: int = 1
) -> ReportTable:
    """Rows of cells, without columns that say nothing anywhere; the first `words` columns hold words."""
    cells = {name: [cell(row) for row in records] for name, cell in columns.items()}
    kept = {name: column for name, column in cells.items() if set(column) - {NOTHING} or name in list(columns)[:words]}
    left = tuple(place for place, name in enumerate(kept) if name in list(columns)[:words] or name.startswith("why"))
    return ReportTable(title, note, tuple(kept), list(zip(*kept.values(), strict=True)), left)
