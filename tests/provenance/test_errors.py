"""Errors cross process boundaries whole."""

import pickle

import pytest

from provenance import errors
from provenance.errors import ProvenanceError

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ProvenanceError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_same_in_another_process(kind: type[ProvenanceError]) -> None:
    error = kind("a thing", found="none", remedy="bring one")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - what was written a moment ago
    assert type(again) is kind
    assert (again.wanted, again.found, again.remedy) == ("a thing", "none", "bring one")
    assert str(again) == str(error)
    assert again.exit_code == kind.exit_code
