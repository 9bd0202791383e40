"""The report's tables about weights: lineage, kinds of weights, settings, counterparts, drift by layer.

They need no model's answers, so a report of any run has them; tables that an older version did not store are left out.
"""

import json

from provenance.analyses.results.drift import LayerDrift
from provenance.cells import NOTHING, Record, fixed
from provenance.figures.tables.lineage import BY_KIND, PERMUTED, RESIZED, UNMATCHED, kind_cells
from provenance.figures.tables.result_tables import ReportTable, Results, report_table
from provenance.figures.wording.run_words import first, run_kind

LAYER_COLUMNS = (
    "layer", "compared", "mean_cosine_distance_up", "mean_cosine_distance_gate", "mean_cosine_distance_down",
    "mean_stability_rank", "identical",
)  # fmt: skip
MAPPED_SHOWN = 100
NAMES_SHOWN = 6
_NO_MARGIN = "Other neurons of the base were not looked at, so there is no margin."
_METHODS = {
    "index": "Each neuron of the instruct checkpoint is compared with the base’s at the same layer and index.",
    "assignment": "Each neuron of the instruct checkpoint was looked up in the base by its weights, and matched "
    "one to one, layer by layer.",
}
_SIMILARITY = "Similarity: cosine of gate, up and down weights together."
_MARGIN = (
    "Margin: how much less similar the best other neuron of the base’s layer is; negative where another is nearer."
)


def lineage(results: Results) -> ReportTable | None:
    """The verdict on lineage and its evidence; None for a drift run without a lineage check."""
    row = first(results["lineage"])
    if not row:
        return None
    if not row["neurons_sampled"]:  # no neuron was looked up; older versions stored shares of nothing as 0
        row |= dict.fromkeys(("self_match", "found_in_base", "found_in_instruct", "nearest_cosine", "layer_of"))
    if not row["tensors_compared"]:
        row["share_identical_tensors"] = None
    sampled = f"of {row['neurons_sampled']}"
    cells = [
        ("verdict", row["verdict"]),
        ("share of identical tensors", _share(row, "share_identical_tensors", f"of {row['tensors_compared']}")),
        *((f"median cosine, {kind}", fixed(row[f"median_cosine_{kind}"], 5)) for kind in ("gate", "up", "down")),
        ("neurons whose nearest neighbour is themselves", _share(row, "self_match", sampled)),
        ("neurons of the instruct checkpoint found in the base, anywhere", _share(row, "found_in_base", sampled)),
        ("neurons of the base found in the instruct checkpoint, anywhere", _share(row, "found_in_instruct", sampled)),
        ("median cosine to the nearest neighbour", fixed(row["nearest_cosine"], 5)),
        ("layers of the base, by layer of the instruct checkpoint", _layers(row["layer_of"])),
        ("tensors that only the base has", _names(row["only_base"])),
        ("tensors that only the instruct checkpoint has", _names(row["only_instruct"])),
        ("tokens with the same id in both", fixed(row["vocabulary_shared"], 4)),
        ("tokens in the base’s vocabulary and in the other", _sizes(row)),
        ("same tokenizer", _same_tokenizer(row)),
    ]
    reason = f"{row['reason'][:1].upper()}{row['reason'][1:]}. " if row["reason"] else ""
    note = f"{reason}The evidence says whether the two checkpoints are related, not which came first."
    return ReportTable("Lineage", note, ("evidence", "value"), [cell for cell in cells if cell[1] != NOTHING])


def _share(row: Record, name: str, sampled: str) -> str:
    return NOTHING if row[name] is None else f"{fixed(row[name], 3)} {sampled}"


def _same_tokenizer(row: Record) -> str:
    known = row["same_tokenizer"] or row["vocabulary_shared"] is not None
    return NOTHING if not known else "yes" if row["same_tokenizer"] else "no"


def _sizes(row: Record) -> str:
    if row["vocabulary_base"] is None:
        return NOTHING
    return f"{row['vocabulary_base'] or 'none'} and {row['vocabulary_instruct'] or 'none'}"


def _listed(value: object) -> list[object]:
    """A JSON column: SQLite gives its text, PostgreSQL the object."""
    loaded = json.loads(value) if isinstance(value, str) else value
    return list(loaded) if isinstance(loaded, list) else []


def _names(value: object) -> str:
    names = [str(name) for name in _listed(value)]
    if not names:
        return "none"
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{len(names)}: {', '.join(names[:NAMES_SHOWN])}{more}"


def _layers(value: object) -> str:
    """Base layer of each instruct layer; shortened if all are in place."""
    found = _listed(value)
    if not found:
        return NOTHING
    if found == list(range(len(found))):
        return f"all {len(found)} in their own place"
    return ", ".join(NOTHING if layer is None else str(layer) for layer in found)


def by_kind(results: Results) -> ReportTable | None:
    """Weights by kind, including those without a panel in the figure."""
    rows = results["lineage-tensors"].records()
    if not rows:
        return None
    note = (
        "Rows (neurons for gate, up and down) of each kind of weights against their namesakes: how many are the same, "
        "and 1 − cosine of a layer’s median row, over layers."
    )
    if first(results["lineage"])["verdict"] in (PERMUTED, RESIZED):
        note = f"{note} {UNMATCHED}"
    return ReportTable("Weights by kind", note, BY_KIND, kind_cells(rows))


def config(results: Results) -> ReportTable | None:
    """Settings that differ."""
    if not results["lineage"].rows:
        return None  # no lineage was asked for
    rows = [
        tuple("absent" if row[name] is None else str(row[name]) for name in ("key", "base", "instruct"))
        for row in results["config-differences"].records()
    ]
    note = "Settings of config.json that differ." if rows else "No setting of config.json differs."
    return ReportTable("Configuration", note, ("setting", "base", "instruct"), rows, (0, 1, 2))


def mapping(results: Results) -> ReportTable | None:
    """The H-Neurons' counterparts in the base, the least certain first."""
    alignment, records = first(results["alignment"]), results["mapping"].records()
    if not alignment or not records:
        return None
    rows = [
        (
            str(row["layer"]),
            str(row["neuron_index"]),
            *(("unmapped", NOTHING) if row["base_layer"] is None else (str(row["base_layer"]), str(row["base_index"]))),
            fixed(row["similarity"], 4),
            fixed(row["margin"], 4),
        )
        for row in records[:MAPPED_SHOWN]
    ]
    header = ("layer", "index", "base layer", "base index", "similarity", "margin")
    return ReportTable("Mapping", _mapping_words(alignment, records), header, rows, ())


def _mapping_words(alignment: Record, records: list[Record]) -> str:
    found = sum(row["base_layer"] is not None for row in records)
    counts = f"{alignment['n_mapped']} of {alignment['n_neurons']} neurons have a counterpart"
    words = [
        _METHODS.get(alignment["method"], f"Method: {alignment['method']}."),
        f"{counts}, {found} of {len(records)} H-Neurons among them.",
        _SIMILARITY,
        _MARGIN if any(row["margin"] is not None for row in records) else _NO_MARGIN,
    ]
    if alignment["reason"]:
        words.insert(0, f"Not to be trusted: {alignment['reason']}.")
    if len(records) > MAPPED_SHOWN:
        words.append(f"The {MAPPED_SHOWN} least certain of {len(records)}; all: provenance query mapping.")
    return " ".join(words)


def layers(results: Results) -> ReportTable | None:
    """Change of the neurons of each layer."""
    only = LAYER_COLUMNS if run_kind(results) == "drift" else (*LAYER_COLUMNS, "h_neurons")
    return report_table(LayerDrift, results["layers"].records(), only=only)
