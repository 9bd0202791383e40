"""Lineage tells the same, tuned, noised, permuted and unrelated models apart, with its evidence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from analyses import lineage as lineage_module
from analyses.lineage import cosine_tables, lineage, same_bits
from analyses.results import LineageResult
from provenance.errors import NonFiniteError

Make = Callable[..., Any]
VOCAB = {"a": 0, "b": 1, "c": 2, "d": 3}


def related(base: Any, instruct: Any, **settings: Any) -> LineageResult:
    return lineage(base, instruct, VOCAB, VOCAB, **settings)


def noised(share: float, seed: int = 9) -> Callable[[str, torch.Tensor], torch.Tensor]:
    """Gaussian noise of a given share of the (unit) weights' size, on MLP weights only."""
    generator = torch.Generator().manual_seed(seed)

    def change(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if name == "embedding" else tensor + share * torch.randn(tensor.shape, generator=generator)

    return change


def permuted(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Neurons of every layer in another order, the same for all kinds of weight."""
    if name == "embedding":
        return tensor
    generator = torch.Generator().manual_seed(int(name.split(".", maxsplit=1)[0]))
    return tensor[torch.randperm(tensor.shape[0], generator=generator)]


def test_a_checkpoint_and_itself_are_the_same_model(checkpoint: Make) -> None:
    result = related(checkpoint(), checkpoint())
    assert result.verdict == "same model"
    assert (result.share_identical_tensors, result.tensors_compared) == (1.0, 10)
    assert (result.self_match, result.neurons_sampled) == (1.0, 3 * 40)
    assert result.nearest_cosine == pytest.approx(1, abs=1e-6)
    assert max(result.nearest_cosine, *result.median_cosine.values()) <= 1
    assert result.same_tokenizer


@pytest.mark.parametrize("share", [1e-3, 0.05, 0.5])
def test_tuning_sized_noise_makes_a_descendant(checkpoint: Make, changed: Make, share: float) -> None:
    base = checkpoint()
    result = related(base, changed(base, noised(share)))
    assert result.verdict == "descendant"
    assert result.self_match == 1.0
    assert result.share_identical_tensors == 1 / 10  # the embedding
    for cosine in result.median_cosine.values():
        assert cosine == pytest.approx(1 / np.sqrt(1 + share**2), abs=0.02)


def test_noise_as_large_as_the_weights_still_finds_neurons_at_their_index(checkpoint: Make, changed: Make) -> None:
    base = checkpoint(d=64)
    result = related(base, changed(base, noised(1.0)))
    assert result.verdict == "descendant"
    assert result.nearest_cosine == pytest.approx(0.71, abs=0.05)


def test_noise_that_buries_the_weights_makes_models_unrelated(checkpoint: Make, changed: Make) -> None:
    base = checkpoint()
    assert related(base, changed(base, noised(30.0))).verdict == "unrelated"


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_permuted_neurons_are_found_elsewhere(checkpoint: Make, changed: Make, share: float) -> None:
    base = checkpoint()
    result = related(base, changed(changed(base, permuted), noised(share)))
    assert result.verdict == "descendant, neurons permuted"
    assert result.self_match < 0.2
    assert result.nearest_cosine > 0.95
    assert abs(result.median_cosine["up"]) < 0.2


@pytest.mark.parametrize("size", [{}, {"d_m": 200, "d": 16}, {"d_m": 64, "d": 24, "gated": False}])
def test_two_seeds_are_unrelated(checkpoint: Make, size: dict[str, Any]) -> None:
    result = related(checkpoint(**size), checkpoint(seed=1, **size))
    assert result.verdict == "unrelated"
    assert result.share_identical_tensors == 0.0


def test_models_of_different_shape_are_unrelated_without_an_error(checkpoint: Make) -> None:
    result = related(checkpoint(), checkpoint(d_m=48))
    assert (result.verdict, result.neurons_sampled, result.median_cosine) == ("unrelated", 0, {})
    assert result.tensors_compared == 1
    assert "0.up" in result.only_base
    assert "0.up" in result.only_instruct


def test_tensors_of_one_side_are_named_and_end_sameness(checkpoint: Make, changed: Make) -> None:
    base, instruct = checkpoint(), checkpoint()
    instruct.tensors["lm_head"] = torch.zeros(2)
    result = related(base, instruct)
    assert (result.verdict, result.only_base, result.only_instruct) == ("descendant", (), ("lm_head",))


def test_another_dtype_is_not_identical_yet_related(checkpoint: Make, changed: Make) -> None:
    base = changed(checkpoint(), lambda _, t: t.bfloat16())
    result = related(base, changed(base, lambda _, t: t.float()))
    assert result.share_identical_tensors == 0.0
    assert result.verdict == "descendant"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int8, torch.bool])
def test_same_bits_sees_one_changed_bit(dtype: torch.dtype) -> None:
    a = torch.tensor([0, 1, 1]).to(dtype)
    b = a.clone()
    assert same_bits(a, b)
    assert same_bits(a.expand(2, 3).T, b.expand(2, 3).T)
    b[1] = 0
    assert not same_bits(a, b)


def test_same_bits_looks_at_bits_and_not_at_values() -> None:
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert not same_bits(torch.ones(2), torch.ones(2).bfloat16())
    assert not same_bits(torch.ones(2), torch.ones(1, 2))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("side", "dtype"), [("base", torch.float32), ("instruct", torch.bfloat16)])
def test_values_that_are_not_finite_are_refused_by_tensor_name(
    checkpoint: Make, changed: Make, value: float, side: str, dtype: torch.dtype
) -> None:
    good = changed(checkpoint(), lambda _, t: t.to(dtype))

    def spoil(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name == "embedding":
            tensor[1, 2] = value
        return tensor

    bad = changed(good, spoil)
    with pytest.raises(NonFiniteError, match=f"embedding of the {side}"):
        related(*((bad, good) if side == "base" else (good, bad)))


def test_a_nan_that_both_share_is_refused_too(checkpoint: Make) -> None:
    both = checkpoint(), checkpoint()
    for source in both:
        source.tensors["0.up"][0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"0\.up"):
        related(*both)


def test_one_byte_floats_and_integers_are_compared(checkpoint: Make) -> None:
    base, instruct = checkpoint(), checkpoint()
    for source in (base, instruct):
        source.tensors["scale"] = torch.ones(3).to(torch.float8_e4m3fn)
        source.tensors["position"] = torch.arange(3)
    assert related(base, instruct).verdict == "same model"


def test_cosines_equal_the_definition_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_module, "BLOCK_ELEMENTS", 20)
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(11, 6, generator=generator), torch.randn(6, 11, generator=generator).T
    b[4] = 0
    ids = np.array([0, 4, 10])
    own, table = cosine_tables(a, b, ids)
    lengths = np.outer(a.norm(dim=1), b.norm(dim=1))
    full = np.divide((a @ b.T).numpy(), lengths, out=np.zeros((11, 11)), where=lengths > 0)
    np.testing.assert_allclose(own, np.diag(full), atol=1e-6)  # float32 unit vectors
    np.testing.assert_allclose(table, full[ids], atol=1e-6)


def test_joined_kinds_find_what_a_single_kind_would_miss(checkpoint: Make, changed: Make) -> None:
    base = checkpoint(d_m=30)

    def shuffle_gate(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.roll(1, dims=0) if name.endswith(".gate") else tensor

    result = related(base, changed(base, shuffle_gate))
    assert result.verdict == "descendant"
    assert abs(result.median_cosine["gate"]) < 0.2


def test_tensors_are_streamed(checkpoint: Make) -> None:
    base, instruct = checkpoint(layers=6), checkpoint(layers=6, seed=1)
    related(base, instruct, sample=4)
    for source in (base, instruct):
        assert source.most_alive <= 2
        assert source.alive == 0


def test_the_sample_is_bounded_by_layer_and_drawn_from_the_seed(checkpoint: Make, changed: Make) -> None:
    base = checkpoint()
    other = changed(base, noised(3.0))
    results = [related(base, other, sample=10, seed=seed) for seed in (0, 0, 1)]
    assert results[0].neurons_sampled == 30
    assert results[0] == results[1]
    assert results[0].nearest_cosine != results[2].nearest_cosine


def test_vocabularies_are_compared_token_by_token(checkpoint: Make) -> None:
    other = {"a": 0, "b": 2, "c": 2, "e": 3}
    result = lineage(checkpoint(), checkpoint(), VOCAB, other)
    assert result.vocabulary_shared == 2 / 5  # a and c of a, b, c, d, e
    assert not result.same_tokenizer
    longer = lineage(checkpoint(), checkpoint(), VOCAB, VOCAB | {"<turn>": 4})
    assert longer.vocabulary_shared == 4 / 5
    assert not longer.same_tokenizer
