"""The report's tables about probes: how C was chosen, what a probe has to beat, and how far it can be trusted.

The one idea: only what the run has numbers for has a table or a column, so that a run of an older
version does not read as if something had been looked for and not found.
"""

from collections.abc import Callable, Mapping, Sequence

from figures.tables import ReportTable, Results
from figures.words import NOTHING, Record, compact, first, fixed, interval
from provenance.probe_words import GIVEN, baseline_words, rule_words

Columns = Mapping[str, Callable[[Record], str]]
CLUSTERS_SHOWN = 50


def identification(results: Results) -> ReportTable:
    """Both probes on held-out responses of their own models."""
    rows = [
        (
            row["stage"],
            row["dataset"] or NOTHING,
            interval(row, "accuracy"),
            interval(row, "random_accuracy"),
            interval(row, "auroc"),
            f"{row['n_faithful']} + {row['n_hallucinated']}" if row["dataset"] else NOTHING,
        )
        for row in results["identification"].records()
    ]
    header = ("model", "question set", "accuracy", "random neurons", "AUROC", "n (f + h)")
    return ReportTable("Identification", _probe_words(results), header, rows, (0, 1))


def _probe_words(results: Results) -> str:
    run = first(results["run"])
    total = int(run["layers"]) * int(run["neurons_per_layer"])
    probes = (_one_probe(row, total) for row in results["probes"].records())
    return " ".join([*probes, "Random neurons: as many, refitted on the same rows. n: faithful + hallucinated."])


def _one_probe(row: Record, total: int) -> str:
    """One probe in words: where it is from, how it was fitted, what it has."""
    counts = (
        f"{row['n_h_neurons']} H-Neurons of {total} neurons ({fixed(1000 * row['n_h_neurons'] / total, 3)} ‰), "
        f"{row['n_neurons']} non-zero weights."
    )
    if row["rule"] == GIVEN:
        reason = f" There is no probe: {row['reason']}." if row["reason"] else ""
        return f"The {row['stage']} probe: {rule_words(GIVEN, row['source'])}; {counts}{reason}"
    if row["c"] is None:
        return f"The {row['stage']} probe: none, {row['reason']}."
    words = rule_words(row["rule"], row["source"])
    return (
        f"The {row['stage']} probe: C = {compact(row['c'])}, design {row['design']}, intercept "
        f"{'penalised' if row['intercept_penalised'] else 'free'}, fitted on {row['n_train_faithful']} faithful and "
        f"{row['n_train_hallucinated']} hallucinated responses; {counts}"
        f"{f' How C was chosen: {words}.' if words else ''}{_solved(row)}"
    )


def _solved(row: Record) -> str:
    """How well the problem was solved."""
    if row["gap"] is None:
        return ""
    gap, violation = compact(row["gap"]), _violation(row)
    return f" Duality gap over the objective {gap}, largest violation of |g| ≤ 1 over all neurons {violation}."


def _violation(row: Record) -> str:
    """Its order of magnitude, which is all that matters of it."""
    return NOTHING if row["violation"] is None else f"{row['violation']:.1e}"


def baselines(results: Results) -> ReportTable | None:
    """What the probe has to beat on each question set; None where nothing was looked at."""
    records = results["baselines"].records()
    if not records:
        return None
    rows: list[tuple[str, ...]] = []
    for place, row in enumerate(records):
        before = records[place - 1] if place else {}
        if (row["stage"], row["dataset"]) != (before.get("stage"), before.get("dataset")):
            own = {f"probe_auroc{part}": row[f"probe_auroc{part}"] for part in ("", "_low", "_high")}
            rows.append((row["stage"], row["dataset"], "the probe", NOTHING, interval(own, "probe_auroc"), NOTHING))
        sets = str(row["n_draws"]) if row["n_draws"] else NOTHING
        values = (interval(row, "auroc"), interval(row, "gain", 3))
        rows.append((row["stage"], row["dataset"], baseline_words(row["kind"]), sets, *values))
    note = (
        "AUROC on the same held-out answers, with its interval by question; gain: the probe’s AUROC minus the "
        "baseline’s, paired by question. For neuron sets both are means over sets."
    )
    header = ("model", "question set", "predictor", "sets", "AUROC", "gain of the probe")
    return ReportTable("Baselines", note, header, rows, (0, 1, 2))


def path(results: Results) -> ReportTable | None:
    """Every C that was tried; None where there was no search."""
    records = results["probe-path"].records()
    if not records:
        return None
    columns: Columns = {
        "model": lambda row: row["stage"],
        "C": lambda row: compact(row["c"]) + ("*" if row["is_chosen"] else ""),
        "k": lambda row: str(row["n_positive"]),
        "weights": lambda row: str(row["n_nonzero"]),
        "validation accuracy": lambda row: fixed(row["validation_accuracy"], 3),
        "validation AUROC": lambda row: fixed(row["validation_auroc"], 3),
        "accuracy, H-Neurons suppressed": lambda row: fixed(row["suppressed_accuracy"], 3),
        "gap": lambda row: compact(row["gap"]),
        "violation": _violation,
    }
    rules = {rule_words(row["rule"], row["source"]) for row in results["probes"].records() if row["c"] is not None}
    chosen = f"How C was chosen (asterisk): {'; '.join(sorted(rules))}. " if rules - {""} else ""
    note = (
        f"{chosen}Probes fitted on the training rows alone; k: neurons of positive weight. Gap: duality gap over the "
        "objective. Violation: the largest of the optimality conditions over all neurons, whose bound is 1."
    )
    if "gap" not in (shown := _known(columns, records)):
        note = f"{chosen}Probes fitted on the training rows alone; k: neurons of positive weight."
    return ReportTable("Path", note, tuple(shown), _rows(shown), (0,))


def _known(columns: Columns, records: Sequence[Record]) -> dict[str, list[str]]:
    """The cells of every column that has any."""
    cells = {title: [cell(row) for row in records] for title, cell in columns.items()}
    return {title: column for title, column in cells.items() if set(column) != {NOTHING}}


def _rows(cells: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    return list(zip(*cells.values(), strict=True))


def stability(results: Results) -> ReportTable | None:
    """How far the neurons depend on the questions, one column a probe; None where that was not looked at."""
    records = results["stability"].records()
    if not records:
        return None
    quantities: Columns = {
        "C of the fits": lambda row: compact(row["c"]),
        "half-samples": lambda row: str(row["n_half_samples"]),
        "neurons selected at least once": lambda row: str(row["n_selected"]),
        "H-Neurons of one half-sample, mean": lambda row: fixed(row["mean_selected"], 1),
        "selection frequency that counts as stable": lambda row: fixed(row["threshold"]),
        "stable neurons": lambda row: str(row["n_stable"]),
        "of these, H-Neurons of the probe": lambda row: f"{row['n_stable_used']} of {row['n_h_neurons']}",
        "of these, expected by chance (selected no more often than q / D), at most": lambda row: compact(
            row["false_bound"]
        ),
        "H-Neurons that two halves share, mean": lambda row: fixed(row["split_half_shared"], 1),
        "Jaccard index of two halves, mean": lambda row: fixed(row["split_half_jaccard"], 3),
        "the same over clusters of correlated neurons": lambda row: fixed(row["split_half_clusters"], 3),
        "correlation that makes a cluster": lambda row: fixed(row["cluster_correlation"]),
        "clusters among neurons used or selected": lambda row: str(row["n_clusters"]),
    }
    rows = [(name, *(cell(row) for row in records)) for name, cell in quantities.items()]
    note = (
        "The probe fitted again on random halves of the questions, with the same strength of the penalty per row; a "
        "neuron is selected where its weight is positive. The Jaccard index of two halves of one model’s "
        "questions is what the overlap of two models is read against."
    )
    return ReportTable("Stability", note, ("quantity", *(row["stage"] for row in records)), rows)


def stable_neurons(results: Results) -> ReportTable | None:
    """The neurons that half-samples select most often; None where there are none."""
    records = results["stable-neurons"].records()
    if not records:
        return None
    columns: Columns = {
        "model": lambda row: row["stage"],
        "layer": lambda row: str(row["layer"]),
        "index": lambda row: str(row["neuron_index"]),
        "frequency": lambda row: fixed(row["selection_frequency"]),
        "stable": lambda row: "yes" if row["is_stable"] else "no",
        "own AUROC": lambda row: fixed(row["auroc"]),
        "cluster": lambda row: NOTHING if row["cluster"] is None else str(row["cluster"]),
        "in the probe": _use,
    }
    shown = _known(columns, records)
    note = (
        "Those selected most often, of each probe. Where the probe uses another neuron of the same cluster of "
        "correlated neurons, that one is named: an L1 penalty picks among them."
    )
    return ReportTable("Most often selected neurons", note, tuple(shown), _rows(shown), (0, len(shown) - 1))


def _use(row: Record) -> str:
    """Whether the probe uses a neuron, or which one of the same cluster it uses instead."""
    if row["is_h_neuron"]:
        return f"weight {compact(row['probe_weight'])}"
    own = f"weight {compact(row['probe_weight'])}" if row["probe_weight"] else "no"
    if row["instead_layer"] is None:
        return own
    weight = compact(row["instead_weight"])
    return f"{own}; same cluster: layer {row['instead_layer']}, index {row['instead_index']}, weight {weight}"


def clusters(results: Results) -> ReportTable | None:
    """Clusters of more than one neuron; None where no cluster was looked for."""
    everything = results["clusters"].records()
    if not everything:
        return None
    several = [row for row in everything if row["neurons"] > 1]
    rows = [
        (
            row["stage"],
            str(row["cluster"]),
            str(row["neurons"]),
            str(row["h_neurons"]),
            _place(row["used_layer"], row["used_index"]),
            fixed(row["highest_frequency"]),
            _place(row["frequent_layer"], row["frequent_index"]),
        )
        for row in several[:CLUSTERS_SHOWN]
    ]
    note = (
        "Neurons used by a probe or selected by a half-sample, by correlation over training answers; clusters of more "
        f"than one: {len(several)} of {len(everything)}. Neurons are (layer, index); of those the probe uses, the one "
        "of largest weight."
    )
    if len(several) > CLUSTERS_SHOWN:
        note += f" The {CLUSTERS_SHOWN} largest; all: provenance query clusters."
    header = ("model", "cluster", "neurons", "in the probe", "used", "highest frequency", "most often selected")
    return ReportTable("Clusters", note, header, rows)


def _place(layer: int | None, index: int | None) -> str:
    return NOTHING if layer is None else f"({layer}, {index})"
