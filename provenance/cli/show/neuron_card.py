"""One neuron's card on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from provenance.cells import NOTHING, compact, fixed, visible, yes_or_no
from provenance.cli.show.run import say
from provenance.cli.show.tables import print_tables
from provenance.words import Concept, null_words, token_words

if TYPE_CHECKING:
    from provenance.figures.tables.result_tables import ReportTable

ACTIVITY = ("model", "question set", "CETT f", "CETT h", "refusals", "AUROC", "n (f + h)")
ANSWERS = ("model", "label", "mean CETT", "question", "answer", "response")
READS = (
    "Tokens: product of the unembedding with the down column, after the norms' weights, in standard deviations (SD) "
    "over all tokens; promoted by a positive output. Null space: share of the column's norm in the 1 % of directions "
    "that the unembedding passes on least, and in brackets the share of the layer's neurons that have less there: with "
    "far more than its layer, the neuron acts on the final norm (entropy neuron) rather than on tokens. Answers: by "
    "mean CETT over the answer's tokens; which of them carries it was not captured."
)


def show_card(card: Mapping[str, Any], console: Console) -> None:
    """Print a card as `provenance.db.neuron_card` gives it."""
    neuron, run = card["neuron"], card["run"]
    concept = Concept(**run["concept"])
    kind = concept.worded("H-Neuron" if card["is_h_neuron"] else "no H-Neuron")
    say(f"neuron {neuron['layer']}:{neuron['index']} of {visible(run['instruct'])}, {kind}", console)
    which = "the newest; --run ID for another" if run["newest"] else "as asked for"
    say(visible(f"run {run['run']} ({which}): {run['command']}, {run['base']} -> {run['instruct']}"), console)
    console.print()
    print_tables((table.worded(concept) for table in _tables(card)), console)
    for note in [*card["notes"], *([READS] if card["vocabulary"] else [])]:
        console.print(concept.worded(f"note: {note}"), highlight=False, markup=False)


def _tables(card: Mapping[str, Any]) -> "Iterator[ReportTable]":
    from provenance.figures.tables.result_tables import ReportTable

    facts = [line for line in (*_facts(card), *_drift(card["drift"])) if line[1] != NOTHING]
    yield ReportTable("", "", ("", ""), facts, (0, 1))
    yield ReportTable("Mean CETT", "", ACTIVITY, [_activity(row) for row in card["activity"]], (0, 1))
    tokens = [line for row in card["vocabulary"] for line in _tokens(row)]
    yield ReportTable("Vocabulary", "", ("model", "", "tokens"), tokens, (0, 1, 2), (2,))
    yield ReportTable(
        "Most active on", "", ANSWERS, [_answer(row) for row in card["answers"]], (0, 1, 3, 4, 5), (3, 4, 5)
    )


def _facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    probe, other = card["probe"], card["counterpart"]
    place = NOTHING if other is None else f"{other['layer']}:{other['index']}"
    if other is not None and other["similarity"] is not None:
        place += f", similarity {fixed(other['similarity'], 4)}, margin {fixed(other['margin'], 4)}"
    return [
        ("probe weight", compact(probe["probe_weight"])),
        ("probe weight in the base's own probe", compact(card["base_probe"]["probe_weight"])),
        ("H-Neuron of the base too", yes_or_no(card["is_base_h_neuron"])),
        ("selected in half-samples", fixed(probe["selection_frequency"])),
        ("own AUROC, training answers", fixed(probe["training_auroc"])),
        ("counterpart in the base", place),
        ("correlation of activations, base and instruct", fixed(card["activation_correlation"], 3)),
    ]


def _drift(drift: Mapping[str, Any]) -> list[tuple[str, str]]:
    moved = [
        f"{compact(drift[f'cosine_distance_{kind}'])} {kind}" for kind in ("up", "gate", "down") if _known(drift, kind)
    ]
    floor = f"; rounding to the storage dtype can cause {compact(drift['rounding_floor'])}"
    words = ", ".join(moved) + (floor if drift["rounding_floor"] else "")
    return [
        ("1 - cosine, base to instruct", words if moved else NOTHING),
        ("stability rank (0 changed most, 1 least)", fixed(drift["stability_rank"], 3)),
        ("bit-identical", yes_or_no(drift["identical"]) if moved else NOTHING),
    ]


def _known(drift: Mapping[str, Any], kind: str) -> bool:
    return drift[f"cosine_distance_{kind}"] is not None


def _activity(row: Mapping[str, Any]) -> tuple[str, ...]:
    means = (compact(row[f"mean_{label}"]) for label in ("faithful", "hallucinated", "refusal"))
    return row["stage"], row["dataset"], *means, fixed(row["auroc"]), f"{row['n_faithful']} + {row['n_hallucinated']}"


def _tokens(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    if row["reason"]:
        return [(row["stage"], "none", row["reason"])]
    return [
        (row["stage"], "promotes", _listed(row["promotes"])),
        (row["stage"], "suppresses", _listed(row["suppresses"])),
        (
            row["stage"],
            "null space",
            f"{null_words(row['null_share'], row['null_rank'])}; SD {compact(row['logit_sd'])}",
        ),
    ]


def _listed(tokens: Sequence[Mapping[str, Any]]) -> str:
    return token_words((each["token"], each["id"], each["z"]) for each in tokens)


def _answer(row: Mapping[str, Any]) -> tuple[str, ...]:
    texts = (visible(row[name] or NOTHING).strip() for name in ("question", "answer", "response"))
    return row["stage"], row["label"], compact(row["cett"]), *texts
