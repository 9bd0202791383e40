"""The report's tables about probes: choice of C, baselines, and stability.

Tables and columns without numbers are left out, so that a run of an older version does not look like a search without
result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from provenance.analyses.results.probes import Baseline, HeldOut, PathPoint, StabilityResult
from provenance.cells import NOTHING, Record, compact, fixed
from provenance.figures.tables.result_tables import ReportTable, Results, report_table
from provenance.figures.wording.run_words import first
from provenance.table_declaration import declared
from provenance.words import GIVEN, rule_words

Columns = Mapping[str, Callable[[Record], str]]
CLUSTERS_SHOWN = 50


def identification(results: Results) -> ReportTable | None:
    """Both probes on held-out responses of their own models."""
    records = [row for row in results["identification"].records() if row["dataset"]]
    found = report_table(HeldOut, records)
    words = _probe_words(results)
    return ReportTable("Identification", words, (), []) if found is None else replace(found, note=words)


def baselines(results: Results) -> ReportTable | None:
    """Baselines of the probe on each question set; None without any."""
    return report_table(Baseline, _with_probes(results["baselines"].records()))


def _with_probes(records: Sequence[Record]) -> list[Record]:
    """Add a row of the probe itself before the baselines of each question set."""
    found: list[Record] = []
    for place, row in enumerate(records):
        about = {"stage": row["stage"], "dataset": row["dataset"]}
        if not place or about != {name: records[place - 1][name] for name in about}:
            own = {f"auroc{end}": row[f"probe_auroc{end}"] for end in ("", "_low", "_high")}
            found.append({**about, **own, "kind": "probe", "n_draws": 0, "gain": None})
        found.append(row)
    return found


def path(results: Results) -> ReportTable | None:
    """Every C that was tried; None without a search."""
    rules = {rule_words(row["rule"], row["source"]) for row in results["probes"].records() if row["c"] is not None}
    chosen = f"How C was chosen (asterisk): {'; '.join(sorted(rules))}." if rules - {""} else ""
    return report_table(PathPoint, results["probe-path"].records(), chosen)


def stability(results: Results) -> ReportTable | None:
    """Dependence of the neurons on the questions, one column per probe; None if not measured."""
    records = results["stability"].records()
    if not records:
        return None
    said = declared(StabilityResult)
    lines: dict[str, Callable[[Record], str]] = {
        column.label: column.cell for column in said.columns if column.label
    } | {
        "neurons selected at least once": lambda row: str(row["n_selected"]),
        "stable H-Neurons of the probe": lambda row: f"{row['n_stable_used']} of {row['n_h_neurons']}",
        "clusters among neurons used or selected": lambda row: str(row["n_clusters"]),
    }
    rows = [(name, *(cell(row) for row in records)) for name, cell in lines.items()]
    return ReportTable(said.title, said.note, ("quantity", *(row["stage"] for row in records)), rows)


def _probe_words(results: Results) -> str:
    run = first(results["run"])
    total = int(run["layers"]) * int(run["neurons_per_layer"])
    probes = (_one_probe(row, total) for row in results["probes"].records())
    return " ".join([*probes, "Random neurons: as many, refitted on the same rows. n: faithful + hallucinated."])


def _one_probe(row: Record, total: int) -> str:
    """One probe in words: origin, fit, and contents."""
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
    if row["gap"] is None:
        return ""
    gap, violation = compact(row["gap"]), NOTHING if row["violation"] is None else f"{row['violation']:.1e}"
    return f" Duality gap over the objective {gap}, largest violation of |g| ≤ 1 over all neurons {violation}."


def _known(columns: Columns, records: Sequence[Record]) -> dict[str, list[str]]:
    cells = {title: [cell(row) for row in records] for title, cell in columns.items()}
    return {title: column for title, column in cells.items() if set(column) != {NOTHING}}


def _rows(cells: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    return list(zip(*cells.values(), strict=True))


def stable_neurons(results: Results) -> ReportTable | None:
    """Neurons that half-samples select most often; None without any."""
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
    """Whether the probe uses a neuron, or another one of the same cluster."""
    if row["is_h_neuron"]:
        return f"weight {compact(row['probe_weight'])}"
    own = f"weight {compact(row['probe_weight'])}" if row["probe_weight"] else "no"
    if row["instead_layer"] is None:
        return own
    weight = compact(row["instead_weight"])
    return f"{own}; same cluster: layer {row['instead_layer']}, index {row['instead_index']}, weight {weight}"


def clusters(results: Results) -> ReportTable | None:
    """Clusters of more than one neuron; None if clusters were not searched for."""
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
    header = ("model", "cluster", "neurons", "H-Neurons", "used", "highest frequency", "most often selected")
    return ReportTable("Clusters", note, header, rows)


def _place(layer: int | None, index: int | None) -> str:
    return NOTHING if layer is None else f"({layer}, {index})"
