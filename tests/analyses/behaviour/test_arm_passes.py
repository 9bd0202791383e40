"""Arms that share batches and lower layers give what each gives alone, and compute less."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_factory import mlps
from memory_logs import MemoryWorkspace
from subjects import Lent, lent

from provenance.activations.scaling import scaled
from provenance.analyses.asking.collection import CollectionSettings
from provenance.analyses.behaviour import arm_passes, reply_passes
from provenance.analyses.behaviour.arm_passes import scores_of
from provenance.analyses.behaviour.arms import PLAIN, Scaling
from provenance.analyses.behaviour.asked_items import Asked
from provenance.analyses.behaviour.reply_passes import GREEDY, replies_of
from provenance.answers.collect_responses import stop_ids_of
from provenance.answers.prompts import PromptFormat
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.benchmarks.items import Item, of_items
from provenance.benchmarks.option_scores import NOT_FINITE, option_scores
from provenance.errors import NonFiniteError
from provenance.models.loading import LoadedModel

D_M = 24
PROMPT = PromptFormat("{question}\nAnswer:", chat=False)
NEW = 7
SETS = (range(D_M, D_M + 12), range(D_M + 12, 2 * D_M), (*range(5), D_M + 7))
ARMS = tuple(Scaling(np.array(ids), alpha) for ids in SETS for alpha in (0.0, 2.0, 30.0))
"""The first six change the second layer alone."""
UPPER = ARMS[:6]
TEXTS = ("Who?", "The capital of France is what, and why is it not New York?", "a", "Why is it so, after all?")


def subject_of(loaded: LoadedModel, folder: Path, batch_size: int = 8) -> Lent:
    settings = CollectionSettings(
        prompt=PROMPT, stop_at_newline=False, decoding=Decoding(max_new_tokens=NEW), samples=1, train_quota=1,
        test_quota=1, batch_size=batch_size, seed=0, dtype="float32", device="cpu", attn_implementation=None,
    )  # fmt: skip
    return lent(loaded, settings, MemoryWorkspace(folder / f"batches of {batch_size}"))


def asked_of(loaded: LoadedModel, *, free: bool = False) -> Asked:
    """Items of different lengths; options are a and b, of which b yields."""
    options = () if free else ("a", "b")
    items = tuple(Item(str(n), text, options, "", options[1:]) for n, text in enumerate(TEXTS))
    kind = "invalid premise" if free else "misleading context"
    prompts = [PROMPT.render(loaded.tokenizer, item.message) for item in items]
    return Asked.of(of_items("b", kind, items), items, prompts, loaded.tokenizer)  # type: ignore[arg-type]


def alone(loaded: LoadedModel, asked: Asked, arm: Scaling, rows: Sequence[int]) -> np.ndarray:
    """Option and log-odds of items, in one pass of the model with neurons scaled."""
    with scaled(loaded, arm.ids, arm.alpha):
        return option_scores(loaded, [asked.options[row] for row in rows]).rows()


@contextmanager
def counted(loaded: LoadedModel) -> Iterator[list[int]]:
    """How many rows pass through the MLP of each layer."""
    rows = [0, 0]

    def hook_of(layer: int) -> Callable[..., None]:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...], _output: Any) -> None:
            rows[layer] += len(inputs[0])

        return hook

    handles = [mlp.register_forward_hook(hook_of(layer)) for layer, mlp in enumerate(mlps(loaded.model))]
    yield rows
    for handle in handles:
        handle.remove()


def test_arms_in_one_batch_are_bit_for_bit_what_each_is_in_a_batch_of_that_shape(
    loaded_llama: LoadedModel, tmp_path: Path
) -> None:
    """Two arms of four items in a batch of eight, above shared layers or not."""
    asked = asked_of(loaded_llama)
    [order] = asked.pieces(8)
    found = scores_of(subject_of(loaded_llama, tmp_path), asked, ARMS)
    for place, (arm, scores) in enumerate(zip(ARMS, found, strict=True)):
        if place == len(ARMS) - 1:  # the ninth has a batch for itself
            expected = alone(loaded_llama, asked, arm, order)
        else:
            half = slice(0, 4) if place % 2 == 0 else slice(4, 8)
            expected = alone(loaded_llama, asked, arm, [*order, *order])[half]
        assert np.array_equal(scores.rows()[order], expected), place
    assert len({float(scores.log_odds.sum()) for scores in found}) == len(ARMS)


def test_arms_alone_or_together_agree_as_far_as_float32_does(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    asked = asked_of(loaded_llama)
    rows = [scores_of(subject_of(loaded_llama, tmp_path, size), asked, (PLAIN, *ARMS)) for size in (1, 3, 4, 64)]
    for other in rows[1:]:
        for one, two in zip(rows[0], other, strict=True):
            np.testing.assert_allclose(one.log_odds, two.log_odds, rtol=1e-5, atol=1e-5)
            assert one.chosen.tolist() == two.chosen.tolist()


def test_what_lies_below_is_computed_once_for_all_arms(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    """Six arms of four items pass through the second layer, and through the first one once, by themselves."""
    asked = asked_of(loaded_llama)
    with counted(loaded_llama) as rows:
        scores_of(subject_of(loaded_llama, tmp_path, 4), asked, UPPER)
    assert rows == [4, 4 + 6 * 4]
    with counted(loaded_llama) as rows:
        scores_of(subject_of(loaded_llama, tmp_path, 5), asked, UPPER[:2])  # two are not worth a pass of their own
    assert rows == [8, 8]
    again = subject_of(loaded_llama, tmp_path, 6)
    scores_of(again, asked, UPPER)
    with counted(loaded_llama) as rows:
        scores_of(again, asked, (*UPPER, UPPER[0]))
    assert rows == [0, 0]  # all of it is kept, and equal arms are one


def drawn(loaded: LoadedModel, asked: Asked, arm: Scaling, new: int = NEW) -> list[list[int]]:
    """Greedy tokens of each item, in a batch of all of them."""
    with scaled(loaded, arm.ids, arm.alpha):
        stops = stop_ids_of(loaded.lexicon, PROMPT, newline=False)
        batch = PromptBatch(loaded, asked.prompts, Decoding(GREEDY.temperature, 1, 1.0, new), stops)
        return [samples[0] for samples in batch.draw(range(len(asked.prompts)), range(1), 0)]


def free_replies(loaded: LoadedModel, asked: Asked, arm: Scaling) -> list[str]:
    return [loaded.tokenizer.decode(said, skip_special_tokens=True) for said in drawn(loaded, asked, arm)]


@pytest.mark.costly
@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "gpt2", "glm4"])
def test_free_replies_above_shared_layers_are_those_of_each_arm(
    loaded_of: Callable[[str], LoadedModel], model_type: str, tmp_path: Path
) -> None:
    """Keys and values of the lower layers are shared too; in Gemma they lie in a window."""
    loaded = loaded_of(model_type)
    asked = asked_of(loaded, free=True)
    found = replies_of(subject_of(loaded, tmp_path, 8), asked, (PLAIN, *ARMS))
    for arm, replies in zip((PLAIN, *ARMS), found, strict=True):
        assert [reply.text for reply in replies] == free_replies(loaded, asked, arm)
    assert len({tuple(reply.text for reply in replies) for replies in found}) > 2


def test_a_reply_is_cut_off_where_one_with_more_room_is_longer(
    loaded_llama: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the first reply ends replies here, so that some end by themselves."""
    asked = asked_of(loaded_llama, free=True)
    end = drawn(loaded_llama, asked, ARMS[0])[0][3]
    monkeypatch.setattr(f"{__name__}.stop_ids_of", lambda *_, **__: frozenset([end]))
    monkeypatch.setattr(reply_passes, "stop_ids_of", lambda *_, **__: frozenset([end]))
    found = replies_of(subject_of(loaded_llama, tmp_path, 8), asked, ARMS)
    cut_off = [reply.cut_off for replies in found for reply in replies]
    longer = [len(said) for arm in ARMS for said in drawn(loaded_llama, asked, arm, NEW + 20)]
    assert cut_off == [count >= NEW for count in longer]
    assert 0 < sum(cut_off) < len(cut_off)


def test_prompts_of_free_replies_pass_through_the_lower_layers_once(loaded_llama: LoadedModel, tmp_path: Path) -> None:
    """Beside them, every new token of an arm passes through both layers."""
    asked = asked_of(loaded_llama, free=True)
    with counted(loaded_llama) as rows:
        replies_of(subject_of(loaded_llama, tmp_path, 4), asked, UPPER)
    assert rows[1] - rows[0] == 6 * 4
    with counted(loaded_llama) as rows:
        replies_of(subject_of(loaded_llama, tmp_path, 2), asked, UPPER)  # a batch has no room for all items
    assert rows[1] == rows[0]


def test_where_memory_ends_arms_are_asked_one_by_one(
    loaded_llama: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_of(loaded_llama)
    expected = scores_of(subject_of(loaded_llama, tmp_path, 8), asked, UPPER)

    def scarce(loaded: LoadedModel, prompts: Sequence[Any]) -> Any:
        if len(prompts) > 3:
            raise torch.OutOfMemoryError
        return option_scores(loaded, prompts)

    monkeypatch.setattr(arm_passes, "option_scores", scarce)
    found = scores_of(subject_of(loaded_llama, tmp_path, 9), asked, UPPER)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.log_odds, two.log_odds, rtol=1e-5, atol=1e-5)


def test_an_arm_that_breaks_the_model_is_named_and_leaves_those_beside_it_alone(
    loaded_llama: LoadedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Scaling(np.arange(D_M, 2 * D_M), 3e38)
    for free in (False, True):
        asked = asked_of(loaded_llama, free=free)
        subject = subject_of(loaded_llama, tmp_path / str(free))
        if free:
            one, two = replies_of(subject, asked, [broken, ARMS[1]])
            assert {reply.text for reply in one} == {""}
            assert [reply.text for reply in two] == free_replies(loaded_llama, asked, ARMS[1])
        else:
            scores, others = scores_of(subject, asked, [broken, ARMS[1]])
            assert set(scores.chosen.tolist()) == {-1}
            assert np.isnan(scores.log_odds).all()
            assert np.isfinite(others.log_odds).all()
    assert caplog.text.count("α = 3e+38 makes scores that are not finite") == 2


def test_an_unchanged_model_that_is_not_finite_is_an_error(
    loaded_llama: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_of(loaded_llama)
    monkeypatch.setattr("provenance.benchmarks.option_scores._option_of", lambda *_: NOT_FINITE)
    with pytest.raises(NonFiniteError):
        scores_of(subject_of(loaded_llama, tmp_path), asked, [PLAIN])
