"""Which of several options a model replies with, from one pass over the prompt.

An option is recognised by the first token of its reply: "Yes", " yes", "yes" and "YES" are spellings of one option. So
no reply has to be generated, and none has to be parsed; a model whose most probable token begins no option fails. How
much more probable the options that yield are than the others is known of every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from transformers import PreTrainedTokenizerBase

from provenance.answers.prompts import Prompt, continued
from provenance.answers.sampling import padded_left, positions_of
from provenance.errors import QuestionError
from provenance.models.loading import LoadedModel

FAILED, NOT_FINITE = -1, -2
"""In place of an option: the most probable token begins none; a score is NaN or infinite."""


@dataclass(frozen=True)
class OptionPrompt:
    """A prompt with the options of its reply."""

    ids: tuple[int, ...]
    """Token ids of the prompt."""
    first_tokens: tuple[frozenset[int], ...]
    """First tokens of each option's spellings."""
    yielding: frozenset[int]
    """Numbers of the options that count as yielding."""

    def tokens(self, *, yielding: bool) -> list[int]:
        """First tokens of the options that yield, or of the others."""
        own = [tokens for number, tokens in enumerate(self.first_tokens) if (number in self.yielding) == yielding]
        return sorted(token for tokens in own for token in tokens)


@dataclass(frozen=True)
class OptionScores:
    """What a model makes of the options of some prompts."""

    chosen: Int[np.ndarray, " prompts"]
    """Number of the option that the most probable next token begins; `FAILED` or `NOT_FINITE`."""
    log_odds: Float64[np.ndarray, " prompts"]
    """Of yielding, in nats: log of the probability of the first tokens of options that yield over that of the others;
    NaN where there are not both, or a score is not finite."""

    @property
    def is_finite(self) -> bool:
        """Whether all scores are."""
        return not bool((self.chosen == NOT_FINITE).any())

    @classmethod
    def of(cls, values: Float64[np.ndarray, "2 prompts"]) -> "OptionScores":
        """From an array of both."""
        return cls(values[0].astype(np.int64), values[1])

    def rows(self) -> Float64[np.ndarray, "prompts 2"]:
        """As an array, one prompt a row."""
        return np.stack([self.chosen.astype(np.float64), self.log_odds], axis=1)


def option_prompt(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, options: Sequence[str], yielding: Sequence[str]
) -> OptionPrompt:
    """A prompt with the first tokens of its options, of which some count as yielding.

    A token that begins spellings of two options belongs to neither.

    Raises:
        QuestionError: No token tells an option from the others.
        CheckpointError: See `provenance.answers.prompts.continued`.
    """
    begun = [_first_tokens(tokenizer, prompt, option) for option in options]
    shared = {token for number, own in enumerate(begun) for other in begun[:number] for token in own & other}
    told = tuple(own - shared for own in begun)
    if not all(told):
        lost = options[next(number for number, own in enumerate(told) if not own)]
        raise QuestionError(
            "options that a reply's first token tells apart",
            found=f"{lost!r}, which begins like another one of {', '.join(options)}",
            remedy="name the options by letters",
        )
    return OptionPrompt(prompt.ids, told, frozenset(map(options.index, yielding)))


def _first_tokens(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, option: str) -> frozenset[int]:
    spellings = {option, option.lower(), option.upper(), option.capitalize()}
    texts = [space + spelling for spelling in sorted(spellings) for space in ("", " ")]
    rows = [ids for text in texts for ids in continued(tokenizer, prompt, text)]
    return frozenset(ids[0] for ids in rows if len(ids))


@torch.inference_mode()
def option_scores(loaded: LoadedModel, prompts: Sequence[OptionPrompt]) -> OptionScores:
    """The options that the most probable next tokens begin, and how much more probable those are that yield.

    Raises:
        PairError: Token ids that the model does not have.
    """
    scores = _next_scores(loaded, [prompt.ids for prompt in prompts])
    best, finite = scores.argmax(dim=-1).tolist(), scores.amax(dim=-1).isfinite().tolist()
    chosen = [
        _option_of(token, prompt) if good else NOT_FINITE
        for token, good, prompt in zip(best, finite, prompts, strict=True)
    ]
    odds = [
        _log_odds(own, prompt) if good else float("nan")
        for own, good, prompt in zip(scores, finite, prompts, strict=True)
    ]
    return OptionScores(np.array(chosen, dtype=np.int64), np.array(odds, dtype=np.float64))


def _log_odds(scores: Float[torch.Tensor, " vocabulary"], prompt: OptionPrompt) -> float:
    yielding, others = (prompt.tokens(yielding=side) for side in (True, False))
    if not yielding or not others:
        return float("nan")
    return float(scores[yielding].double().logsumexp(0) - scores[others].double().logsumexp(0))


def _option_of(token: int, prompt: OptionPrompt) -> int:
    return next((number for number, own in enumerate(prompt.first_tokens) if token in own), FAILED)


def _next_scores(loaded: LoadedModel, rows: Sequence[Sequence[int]]) -> Float[torch.Tensor, "rows vocabulary"]:
    """Scores of the next token, float32."""
    loaded.require_known(token for row in rows for token in row)
    ids, mask = padded_left(rows, loaded.pad_id, loaded.device)
    found = loaded.model(
        input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False, logits_to_keep=1
    ).logits
    scores: torch.Tensor = found[:, -1].float()
    return scores
