"""Collects responses: ask, judge, keep or drop, batch after batch.

A batch is decided completely, then written in one step, so a run that was killed resumes at the next batch. A response
depends on seed, prompt and number of the sample alone, not on the batch that it was drawn in. A response that the token
limit cut off is marked, and not used for training.

Two protocols (Gao et al. 2025, Sec. 6.1.1). Training: ten samples a question, kept only when all are right (faithful)
or all are wrong answers (hallucinated). Evaluation: one sample. Choice: a question is dropped at its first
disagreement, refusal or empty sample, and a full class takes no more; the kept set is the same, with far fewer samples.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from provenance.answers.judging import JUDGE_NAME, Judgement, judge, normalise
from provenance.answers.prompts import Prompt, PromptFormat
from provenance.answers.sampling import Decoding, PromptBatch
from provenance.answers.spans import answer_span, decode_response, response_regions
from provenance.errors import InputError
from provenance.models.loading import LoadedModel
from provenance.records import Label, Question, Response, Split
from provenance.work_log import ResponseLog

FIRST_ROUNDS = (1, 3)  # these decide nine questions in ten; the remaining samples are one round
NO_SPAN = "no answer span"
CUT_OFF = "cut off"
QUOTA_FULL = "quota full"
LONGEST_PROMPT = 2048  # tokens; the longest of the known sets has 200, and attention takes memory with the square
TOO_LONG = f"longer than {LONGEST_PROMPT} tokens"
BEYOND_CONTEXT = "longer than the context"
KEPT_LABELS: tuple[Label, Label] = ("faithful", "hallucinated")


@dataclass(frozen=True)
class Protocol:
    """How one pool of questions is asked."""

    prompt: PromptFormat
    """Turns a question into a prompt."""
    decoding: Decoding
    rounds: tuple[int, ...]
    """Samples per round; a question still open after a round goes into the next."""
    quota: int
    """Responses wanted of each class."""
    stop_at_newline: bool
    """Whether a line break ends a response (base models)."""
    batch_size: int
    seed: int


@dataclass
class _Open:
    question: Question
    split: Split
    prompt: Prompt
    samples: list[list[int]]
    texts: list[str]
    judgements: list[Judgement]


def rounds_of(samples: int) -> tuple[int, ...]:
    """Samples per round, for a number of samples per question; one sample is the evaluation protocol.

    Raises:
        InputError: Fewer than one sample.
    """
    if samples < 1:
        raise InputError("at least one sample a question", found=str(samples), remedy="give --samples 1 or more")
    rounds: list[int] = []
    for size in (*FIRST_ROUNDS, samples):
        size = min(size, samples - sum(rounds))  # noqa: PLW2901 - what is left of it
        if size:
            rounds.append(size)
    return tuple(rounds)


def label_of(judgements: Sequence[Judgement]) -> tuple[Label, str]:
    """Label of a question from the judgements of its samples, and the reason if it was dropped."""
    for bad in ("refusal", "empty"):
        if bad in judgements:
            return "dropped", bad
    if len(set(judgements)) > 1:
        return "dropped", "disagreement"
    return ("faithful", "") if judgements[0] == "right" else ("hallucinated", "")


def collect(
    load: Callable[[], LoadedModel],
    questions: Sequence[tuple[Question, Split]],
    protocol: Protocol,
    log: ResponseLog,
    progress: Callable[[int, int, Counter[str]], None],
) -> list[Response]:
    """Ask, from where the log stops, until quotas are full or questions run out; all responses in the order of asking.

    Args:
        load: Loads the model; not called when the log is complete.
        questions: The pool, in the order of asking, with the split of each.
        protocol: Prompt, decoding, rounds and quota.
        log: Stores finished batches.
        progress: Called after each batch with (questions asked, questions in all, counts by label).
    """
    size = protocol.batch_size
    counts = Counter(str(r.label) for r in log.responses())
    for batch in range(log.batches_done(), -(-len(questions) // size)):
        if all(counts[label] >= protocol.quota for label in KEPT_LABELS):
            break
        part = questions[batch * size : (batch + 1) * size]
        responses = _ask_batch(load(), part, protocol, counts)
        log.append(batch, responses)
        counts.update(str(r.label) for r in responses)
        progress(min(len(questions), (batch + 1) * size), len(questions), counts)
    return log.responses()


def _ask_batch(
    loaded: LoadedModel,
    part: Sequence[tuple[Question, Split]],
    protocol: Protocol,
    counts: Counter[str],
) -> list[Response]:
    rendered = [
        _Open(question, split, protocol.prompt.render(loaded.tokenizer, question.text), [], [], [])
        for question, split in part
    ]
    too_long = [_too_long(loaded, entry.prompt, protocol.decoding.max_new_tokens) for entry in rendered]
    asked = [entry for entry, reason in zip(rendered, too_long, strict=True) if not reason]
    answered = iter(_answered(loaded, asked, protocol, counts) if asked else ())
    responses = [
        _not_asked(entry, reason) if reason else next(answered)
        for entry, reason in zip(rendered, too_long, strict=True)
    ]
    return _with_quotas(responses, protocol.quota, counts)


def _too_long(loaded: LoadedModel, prompt: Prompt, new_tokens: int) -> str:
    """Why a prompt is too long to be asked; empty if it is not."""
    context = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and len(prompt.ids) + new_tokens > context:
        return BEYOND_CONTEXT
    return TOO_LONG if len(prompt.ids) > LONGEST_PROMPT else ""


def _not_asked(entry: _Open, reason: str) -> Response:
    question = entry.question
    return Response(question.id, question.unit, entry.split, "dropped", reason, 0, 0, "", JUDGE_NAME)


def _answered(loaded: LoadedModel, entries: list[_Open], protocol: Protocol, counts: Counter[str]) -> list[Response]:
    """Samples of all entries, judged, as far as it takes to decide each."""
    stop_ids = loaded.stop_ids | (loaded.newline_ids if protocol.stop_at_newline else frozenset())
    prompts = PromptBatch(loaded, [entry.prompt for entry in entries], protocol.decoding, stop_ids)
    full = {label for label in KEPT_LABELS if counts[label] >= protocol.quota}
    rows = list(range(len(entries)))
    first = 0
    for size in protocol.rounds:
        if not rows:
            break
        drawn = prompts.draw(rows, range(first, first + size), protocol.seed)
        first += size
        for row, ids in zip(rows, drawn, strict=True):
            _judge_samples(loaded, entries[row], ids)
        rows = [row for row in rows if _stays_open(entries[row], full)]
    limit = protocol.decoding.max_new_tokens
    return [_decided(loaded, entry, limit) for entry in entries]


def _judge_samples(loaded: LoadedModel, entry: _Open, samples: list[list[int]]) -> None:
    for ids in samples:
        text = decode_response(loaded.tokenizer, entry.prompt.ids, ids)
        entry.samples.append(ids)
        entry.texts.append(text)
        start, end = answer_span(text)  # the judged text is the text that is captured
        entry.judgements.append(judge(text[start:end], entry.question.answers))


def _stays_open(entry: _Open, full: set[Label]) -> bool:
    label, _ = label_of(entry.judgements)
    return label != "dropped" and label not in full


def _decided(loaded: LoadedModel, entry: _Open, limit: int) -> Response:
    """The response of a question; one that the limit of tokens cut off is no training response."""
    label, reason = label_of(entry.judgements)
    best = _most_frequent(entry.texts)
    regions = response_regions(loaded.tokenizer, entry.prompt, entry.samples[best])
    if label != "dropped" and not any(region.name == "answer" for region in regions):
        label, reason = "dropped", NO_SPAN
    cut_off = len(entry.samples[best]) >= limit  # the token that ends a response would have been within the limit
    if label != "dropped" and cut_off and entry.split != "test":
        label, reason = "dropped", CUT_OFF
    return Response(
        question_id=entry.question.id,
        unit=entry.question.unit,
        split=entry.split,
        label=label,
        reason=reason,
        n_samples=len(entry.texts),
        n_right=entry.judgements.count("right"),
        text=entry.texts[best],
        label_source=JUDGE_NAME,
        prompt_ids=entry.prompt.ids,
        response_ids=tuple(entry.samples[best]),
        regions=regions,
        samples=tuple(entry.texts),
        cut_off=cut_off,
    )


def _most_frequent(texts: list[str]) -> int:
    normalised = [normalise(text) for text in texts]
    winner = Counter(normalised).most_common(1)[0][0]
    return normalised.index(winner)


def _with_quotas(responses: list[Response], quota: int, counts: Counter[str]) -> list[Response]:
    seen = Counter({label: counts[label] for label in KEPT_LABELS})
    kept: list[Response] = []
    for response in responses:
        if response.label != "dropped" and seen[response.label] >= quota:
            response = replace(response, label="dropped", reason=QUOTA_FULL)  # noqa: PLW2901 - the record as it is kept
        seen[response.label] += 1
        kept.append(response)
    return kept
