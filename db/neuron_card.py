"""Everything that the database knows of one neuron of one run."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from provenance.db.reading import card_queries as sql
from provenance.db.reading.run_query import reading, run_query
from provenance.defaults import LATEST
from provenance.errors import InputError
from provenance.words import Concept, stored_tokens

H_NEURONS_ONLY = "not an H-Neuron of this run; tokens and answers are kept for H-Neurons only"
NOT_KEPT = "tokens and answers are kept by comparisons only, and for the 500 H-Neurons of largest weight"
_DRIFT = (
    "cosine_distance_up", "cosine_distance_gate", "cosine_distance_down", "drift_z", "stability_rank", "rounding_floor",
    "identical", "norm_up_base", "norm_up_instruct", "norm_down_base", "norm_down_instruct",
)  # fmt: skip
_PROBE = ("probe_weight", "selection_frequency", "training_auroc", "cluster")
_COUNTERPART = {"layer": "base_layer", "index": "base_index", "similarity": "similarity", "margin": "margin"}


def neuron_card(url: str, run: int | str | None, layer: int, neuron: int) -> dict[str, Any]:
    """One neuron as values for JSON.

    Args:
        url: Database URL.
        run: Its id, or `latest`; None for the newest comparison.
        layer: Layer in the instruct checkpoint, from 0.
        neuron: Index in that layer, from 0.

    Raises:
        InputError: There is no such run, or no such neuron in it.
        StoreError: The database cannot be read.
    """
    with reading(url) as database:
        chosen = run_query(database, "neuron-card", {} if run is None else {"run": run}).run
        [about] = run_query(database, "run", {} if chosen is None else {"run": chosen}).records()
        _check_place(about, layer, neuron)
        place: dict[str, float | str] = {"run": about["run"], "layer": layer, "neuron": neuron}
        found = run_query(database, sql.ONE_NEURON, place).records()
        if not found:
            raise InputError(
                "a finished run that measured neurons",
                found=f"run {about['run']} ({about['command']}), which holds none",
                remedy="name another with --run ID (see `provenance query runs`)",
            )
        return {
            "run": {name: about[name] for name in ("run", "command", "base", "instruct")}
            | {"newest": run in (None, LATEST), "concept": run_concept(about)},
            "neuron": {"layer": layer, "index": neuron},
            **_of_all(found[0]),
            **_of_h_neurons(database, place, is_h_neuron=bool(found[0]["is_h_neuron"])),
        }


def run_concept(about: Mapping[str, Any]) -> dict[str, str]:
    """Name and labels of what a run's neurons are about, from its row of the query `run`.

    Raises:
        InputError: The run's settings hold something else.
    """
    return asdict(Concept.of_settings(about["settings"]))


def _of_all(row: dict[str, Any]) -> dict[str, Any]:
    """What is measured of every neuron, whatever it is."""
    return {
        **{name: bool(row[name]) for name in ("is_h_neuron", "is_base_h_neuron")},
        "probe": {name: row[name] for name in _PROBE},
        "base_probe": {"probe_weight": row["base_probe_weight"]},
        "counterpart": None if row["base_layer"] is None else {key: row[name] for key, name in _COUNTERPART.items()},
        "drift": {name: row[name] for name in _DRIFT} | {"identical": bool(row["identical"])},
        "activation_correlation": row["activation_correlation"],
    }


def _of_h_neurons(database: Connection, place: dict[str, float | str], *, is_h_neuron: bool) -> dict[str, Any]:
    """Activity, and what is kept of H-Neurons."""
    vocabulary = [_with_tokens(each) for each in run_query(database, sql.VOCABULARY_OF_ONE, place).records()]
    return {
        "activity": run_query(database, sql.ACTIVITY_OF_ONE, place).records(),
        "vocabulary": vocabulary,
        "answers": run_query(database, sql.ANSWERS_OF_ONE, place).records(),
        "notes": [] if vocabulary else [NOT_KEPT if is_h_neuron else H_NEURONS_ONLY],
    }


def _check_place(about: dict[str, Any], layer: int, neuron: int) -> None:
    layers, size = about["layers"], about["neurons_per_layer"]
    if layer < layers and neuron < size:
        return
    swapped = neuron < layers and layer < size
    raise InputError(
        f"a neuron of {about['instruct']}: layer 0 to {layers - 1}, index 0 to {size - 1}",
        found=f"{layer}:{neuron}",
        remedy=f"did you mean {neuron}:{layer}?" if swapped else "name one of these (see `provenance query h-neurons`)",
    )


def _with_tokens(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its tokens as objects."""
    tokens = {
        name: [dict(zip(("token", "id", "z"), each, strict=True)) for each in stored_tokens(row[name])]
        for name in ("promotes", "suppresses")
    }
    return {**row, **tokens}
