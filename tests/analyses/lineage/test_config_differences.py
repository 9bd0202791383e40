"""Configs and vocabularies are compared by name, without what the software adds of itself."""

import math

import pytest

from provenance.analyses.lineage.config_differences import config_differences, flattened, shared_vocabulary
from provenance.analyses.results.lineage import ConfigDifference


def test_settings_that_differ_are_named_with_a_dot_for_each_level() -> None:
    base = {"hidden_size": 4, "rope": {"theta": 1e4, "scaling": {"factor": 2}}, "layers": ["a", "b"], "only": None}
    instruct = {"hidden_size": 4, "rope": {"theta": 1e6, "scaling": {"factor": 2}}, "layers": ["b", "a"], "new": "é"}
    assert config_differences(base, instruct) == (
        ConfigDifference("layers", '["a", "b"]', '["b", "a"]'),
        ConfigDifference("new", None, '"é"'),
        ConfigDifference("only", "null", None),
        ConfigDifference("rope.theta", "10000.0", "1000000.0"),
    )
    assert config_differences(base, base) == ()


def test_what_says_nothing_about_the_model_is_left_out() -> None:
    """Versions, paths and how the model is to be run; at every level."""
    noise = {"transformers_version": "4.40", "_name_or_path": "/x", "use_cache": True}
    assert config_differences(noise | {"text_config": noise}, {"text_config": {}}) == ()


def test_a_setting_that_was_renamed_is_the_same_setting() -> None:
    assert config_differences({"torch_dtype": "bfloat16"}, {"dtype": "bfloat16"}) == ()
    assert [d.key for d in config_differences({"torch_dtype": "bfloat16"}, {"dtype": "float32"})] == ["dtype"]


def test_maps_are_laid_flat() -> None:
    assert flattened({"a": {"b": {"c": True}}, "d": {}}) == {"a.b.c": "true"}


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ({"a": 0, "b": 1}, 1.0),
        ({"a": 0, "b": 1, "<turn>": 2}, 2 / 3),
        ({"a": 1, "b": 0}, 0.0),
        ({"a": 0, "c": 1}, 1 / 3),
    ],
)
def test_tokens_count_as_shared_when_their_id_is_the_same(other: dict[str, int], share: float) -> None:
    assert shared_vocabulary({"a": 0, "b": 1}, other) == pytest.approx(share)


def test_a_missing_tokenizer_leaves_the_share_unknown() -> None:
    assert math.isnan(shared_vocabulary(None, {"a": 0}))
    assert math.isnan(shared_vocabulary({"a": 0}, None))
    assert shared_vocabulary({}, {}) == 1.0
