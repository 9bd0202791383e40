"""Results whose sentences are told in the words of a concept."""

from dataclasses import dataclass

import numpy as np

from provenance.analyses.claims.spoken import spoken
from provenance.analyses.results.claims import Claim, Reason
from provenance.words import HALLUCINATION, Concept

REFUSAL = Concept("refusal", "refusal", "answer")


@dataclass(frozen=True)
class Report:
    """A report in small."""

    overall: str
    dataset: str
    claims: tuple[Claim, ...]
    values: np.ndarray


def report() -> Report:
    reason = Reason("drift.recognised", "hallucinated", 1.0, ">", 0.5, holds=True, role="power")
    claim = Claim("drift", "supported", "faithful", "2 of 3 H-Neurons", (reason,))
    return Report("The H-Neurons are there.", "faithful", (claim,), np.ones(2))


def test_sentences_change_and_names_stay() -> None:
    before = report()
    after = spoken(before, REFUSAL)
    assert (after.overall, after.dataset) == ("The refusal neurons are there.", "faithful")
    [claim] = after.claims
    assert (claim.words, claim.dataset) == ("2 of 3 refusal neurons", "faithful")
    assert claim.reasons is before.claims[0].reasons
    assert after.values is before.values


def test_a_report_about_hallucination_is_the_same_object() -> None:
    before = report()
    assert spoken(before, HALLUCINATION) is before
