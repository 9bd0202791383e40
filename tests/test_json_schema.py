"""The JSON of `compare` is what its schema says, and the schema that ships is that of the declarations."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from comparison import SCHEMA_FILE, Finished, schema_errors
from jsonschema import Draft202012Validator

from provenance.analyses.summary.json_schema import compare_schema

Summary = dict[str, Any]


def test_the_file_that_ships_is_the_schema_of_the_declarations() -> None:
    """Write it anew where a declaration changed: `json.dumps(compare_schema(), indent=1)` and a line break."""
    assert SCHEMA_FILE.read_text("utf-8") == json.dumps(compare_schema(), indent=1) + "\n"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(compare_schema())


def test_a_comparison_is_valid_and_every_key_of_it_is_declared(undisturbed: Finished) -> None:
    assert schema_errors(undisturbed.summary) == []
    assert set(undisturbed.summary) <= set(compare_schema()["properties"])


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda said: said.update(run="1"), "run"),
        (lambda said: said.update(schema=2), "schema"),
        (lambda said: said.pop("transfer"), "'transfer' is a required property"),
        (lambda said: said["neurons"].update(h=1.5), "neurons/h"),
        (lambda said: said["base"].pop("digest"), "base: 'digest'"),
        (lambda said: said["verdict"].update(transfer="maybe"), "verdict/transfer"),
        (lambda said: said["transfer"][0].update(auroc=0.8), "transfer"),
        (lambda said: said["transfer"][0]["ladder"]["random"].pop("sets_p95"), "transfer"),
        (lambda said: said["drift"]["tests"][0].update(matching="size"), "drift"),
        (lambda said: said["verdict"]["claims"][0]["reasons"][0].update(role="guess"), "verdict/claims"),
        (
            lambda said: said["identification"]["held_out"][0]["baselines"]["random"].update(n_draws=None),
            "identification",
        ),
    ],
)
def test_an_object_of_another_form_is_not_valid(
    undisturbed: Finished, spoil: Callable[[Summary], object], where: str
) -> None:
    said = deepcopy(undisturbed.summary)
    spoil(said)
    [error] = schema_errors(said)
    assert where in error
