"""Indices map where lineage says so; the closing sentence claims what was measured, and no more."""

from itertools import product
from typing import get_args

import numpy as np
import pytest

from analyses.mapping import map_by_index
from analyses.results import LineageResult
from analyses.verdicts import overall_sentence
from provenance.records import Verdict

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def found(verdict: str, *, self_match: float = 1.0, sampled: int = 200) -> LineageResult:
    return LineageResult(verdict, 0.1, 10, (), (), {"up": 0.9}, self_match, 0.9, sampled, True, 1.0)


@pytest.mark.parametrize("verdict", ["same model", "descendant"])
def test_related_pairs_map_every_index_to_itself(verdict: str) -> None:
    ids = np.array([7, 3, 90])
    mapping = map_by_index(ids, found(verdict))
    assert mapping.base_ids.tolist() == [7, 3, 90]
    assert mapping.base_ids is not ids
    assert (mapping.method, mapping.reason, mapping.aligned) == ("index", "", True)


@pytest.mark.parametrize(
    ("lineage", "words"),
    [
        (found("descendant, neurons permuted", self_match=0.02), "in another order (2% of 200"),
        (found("unrelated", self_match=0.0), "not related by their weights (0% of 200"),
        (found("unrelated", self_match=0.0, sampled=0), "different shapes"),
    ],
)
def test_other_pairs_map_without_an_error_and_with_a_warning(lineage: LineageResult, words: str) -> None:
    mapping = map_by_index(np.array([1, 2]), lineage)
    assert mapping.base_ids.tolist() == [1, 2]
    assert not mapping.aligned
    assert words in mapping.reason


@pytest.mark.parametrize("verdicts", list(product(VERDICTS, repeat=3)))
@pytest.mark.parametrize("relation", ["same model", "descendant", "descendant, neurons permuted", "unrelated"])
def test_every_sentence_is_one_sentence_and_claims_readability_only_where_supported(
    relation: str, verdicts: tuple[Verdict, Verdict, Verdict]
) -> None:
    sentence = overall_sentence(found(relation, self_match=0.0), *verdicts)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert sentence.count(".") == 1
    claims = "the h-neurons are readable in the base model (" in sentence.lower().replace("that the", "no")
    assert claims == (verdicts[0] == "supported" and relation in ("same model", "descendant"))
    for overclaim in ("cause", "responsible", "inherited", "origin", "function as", "prove"):
        assert overclaim not in sentence.lower()


def test_all_combinations_differ() -> None:
    sentences = {overall_sentence(found("descendant"), *v) for v in product(VERDICTS, repeat=3)}
    assert len(sentences) == 27


def test_a_supported_transfer_says_that_readable_is_not_functional() -> None:
    assert "readable does not mean functional" in overall_sentence(
        found("descendant"), "supported", "no power", "no power"
    )


@pytest.mark.parametrize(
    ("relation", "start"),
    [
        ("same model", "The two checkpoints are the same model"),
        ("descendant, neurons permuted", "Nothing can be said about where the H-Neurons come from"),
        ("unrelated", "Nothing can be said about where the H-Neurons come from"),
    ],
)
def test_a_pair_that_does_not_fit_leads_the_sentence(relation: str, start: str) -> None:
    assert overall_sentence(found(relation), "supported", "supported", "supported").startswith(start)


def test_a_comparison_without_any_power_says_so_first() -> None:
    sentence = overall_sentence(found("descendant"), "no power", "no power", "no power")
    assert sentence.startswith("This comparison had no power to decide anything")
