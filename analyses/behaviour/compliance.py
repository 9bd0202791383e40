"""How a model replies to a benchmark while sets of its neurons are scaled.

Every arm (a set and a factor) gets the same prompts. A choice of options costs one pass over the prompt, where the
unchanged model's replies begin with the options; other replies are generated, greedily, and read by rule. Where the
rule is not sure, a judging model reads them, if there is one; of the unchanged model's replies both read all.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int, Int8

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.activations.scaling import UNCHANGED
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.arm_passes import Step, scores_of, silent
from provenance.analyses.behaviour.arms import PLAIN, Scaling, kept, read_options, task_of
from provenance.analyses.behaviour.asked_items import Asked, rows_with_room, second_messages, short_enough, written
from provenance.analyses.behaviour.compliance_curves import Readings
from provenance.analyses.behaviour.compliance_sets import NEGATIVE, Sets, disturbances, prompt_activity, scaled_sets
from provenance.analyses.behaviour.reply_passes import Reply, read_by_rule, replies_of
from provenance.analyses.results.behaviour import READABLE, ItemReading, ReadBy, ReplyExample, ScaledKind
from provenance.benchmarks.items import DOUBTED, Benchmark, BenchmarkKind
from provenance.benchmarks.readings import FAILED, HOLDS, READ_AS
from provenance.benchmarks.reply_judge import ReplyJudge, Said
from provenance.errors import InputError, JobError

logger = logging.getLogger(__name__)
JUDGED_AT_ONCE = 64  # replies whose readings by a judging model are kept together; a kill loses so many at most
EXAMPLES = 3  # items of each model and benchmark whose replies are shown: about a screen
NOT_JUDGED = -9
"""In place of a reading by a judging model that said none of the wanted words."""


def readings_of(
    subject: Subject,
    benchmark: Benchmark,
    ids: Int[np.ndarray, " k"],
    alphas: Sequence[float],
    *,
    sets: int,
    seed: int,
    judge: ReplyJudge | None = None,
    negative: Int[np.ndarray, " negative"] = NO_NEURONS,
) -> Readings:
    """Readings of a benchmark's replies with the H-Neurons and with control sets scaled by each factor.

    Args:
        subject: The model; loaded if an arm is not kept already.
        ids: Flat ids of the H-Neurons in this model, distinct; at least one.
        alphas: Factors >= 0, ascending. Where 1 is among them, the model is asked once for all sets.
        sets: Control sets of each kind.
        judge: Reads free replies of which the rule is not sure.
        negative: Flat ids of neurons of negative weight, distinct.

    Raises:
        QuestionError: Options that no first token tells apart.
        InputError: Too few neurons for control sets; or the judging model's server refuses what it is asked.
        JobError: The judging model's server fails.
        CaptureError, PairError, StoreError: See `provenance.activations.scaling.scaled` and `Subject.remembered`.
    """
    asked = _in_words_or_options(subject, asked_of(subject, benchmark, judge))
    if not asked.items:
        return Readings(subject.stage, benchmark.name, (), tuple(alphas), {}, {}, {})
    sets_of = {
        **sets_beside(subject, asked, ids, sets=sets, seed=seed),
        **({NEGATIVE: np.sort(negative)[None]} if negative.size else {}),
    }
    arms = [Scaling(own, alpha) for members in sets_of.values() for own in members for alpha in alphas]
    step = partial(subject.clock.progress.step, f"scale {benchmark.name}", note="neuron sets and factors")
    read = _read(subject, asked, arms, judge, step)
    shapes = {kind: (len(members), len(alphas), len(asked.items)) for kind, members in sets_of.items()}
    codes, judged = (_by_kind(rows, shapes) for rows in (read.codes, read.judged))
    own = _Read(codes["h_neurons"][0], judged["h_neurons"][0])
    moved = {kind: _disturbances(subject, asked, members) for kind, members in sets_of.items()}
    units = tuple(item.unit for item in asked.items)
    sizes = {kind: members.shape[1] for kind, members in sets_of.items()}
    return Readings(
        subject.stage, benchmark.name, units, tuple(alphas), codes, sizes, moved, judged,
        _by_both(subject, asked, judge), tuple(_examples(subject, asked, sets_of["h_neurons"][0], alphas, own)),
        tuple(_items(subject, asked, alphas, own)),
    )  # fmt: skip


def _by_kind(rows: np.ndarray, shapes: Mapping[ScaledKind, tuple[int, int, int]]) -> dict[ScaledKind, np.ndarray]:
    """Rows of all arms, in the order of the sets and their factors, by kind of set."""
    ends = np.cumsum([sets * alphas for sets, alphas, _ in shapes.values()])
    parts = np.split(rows, ends[:-1])
    return {kind: part.reshape(shape) for (kind, shape), part in zip(shapes.items(), parts, strict=True)}


def asked_of(subject: Subject, benchmark: Benchmark, judge: ReplyJudge | None = None) -> Asked:
    """A benchmark as a model is asked; of a doubted answer, the second message of what it answers right at first."""
    first = short_enough(subject, written(benchmark, subject.settings.prompt, subject.tokenizer))
    if benchmark.kind not in DOUBTED or not first.items:
        return first
    first = _in_words_or_options(subject, first)
    read = _read(subject, first, [PLAIN], judge)
    texts = [item.right for item in first.items] if first.options else [
        reply.text for reply in replies_of(subject, first, [PLAIN])[0]
    ]  # fmt: skip
    right = [text if code == HOLDS else "" for text, code in zip(texts, read.codes[0].tolist(), strict=True)]
    return second_messages(subject, first, right)


def _in_words_or_options(subject: Subject, asked: Asked) -> Asked:
    """The same without options where the unchanged model's replies mostly begin with none, and have to be generated.

    Only where there is room for all replies: items that are left out would hide that they cannot be read.
    """
    if not asked.options:
        return asked
    [own] = scores_of(subject, asked, [PLAIN])
    if float((own.chosen >= 0).mean()) >= READABLE:
        return asked
    in_words = replace(asked, options=())
    if len(rows_with_room(subject, in_words)) < len(asked.items):
        logger.warning("%s: most replies of the %s model begin with no option, and its context has no room to generate "
                       "all of them", asked.benchmark.name, subject.stage)  # fmt: skip
        return asked
    logger.info("%s: most replies of the %s model begin with no option; they are generated, and read in words",
                asked.benchmark.name, subject.stage)  # fmt: skip
    return in_words


def sets_beside(
    subject: Subject,
    asked: Asked,
    ids: Int[np.ndarray, " k"],
    *,
    sets: int,
    seed: int,
    apart: Int[np.ndarray, " a"] = NO_NEURONS,
) -> Sets:
    """The H-Neurons and control sets of each kind in a model, matched on its activity on the prompts; `scaled_sets`."""
    # kept, since quantiles of a measurement in another batch or on another device may draw other sets
    norm, activity = kept(subject, asked, "column norms and mean CETT of prompts",
                          lambda: np.stack(prompt_activity(subject.model(), asked.probed)))  # fmt: skip
    layout = subject.layout
    return scaled_sets(ids, layout.layers, layout.d_m, norm, activity, sets=sets, seed=seed, apart=apart)


def _disturbances(subject: Subject, asked: Asked, members: Int[np.ndarray, "sets k"]) -> Float64[np.ndarray, " sets"]:
    def compute() -> np.ndarray:
        return disturbances(subject.model(), asked.probed, list(members))

    return kept(subject, asked, f"disturbances of {len(members)} sets", compute, {"neurons": members.ravel().tolist()})


@dataclass(frozen=True)
class _Read:
    """Readings of all arms."""

    codes: Int8[np.ndarray, "arms items"]
    judged: Bool[np.ndarray, "arms items"]
    """Whether a judging model decided."""


def _read(
    subject: Subject, asked: Asked, arms: Sequence[Scaling], judge: ReplyJudge | None, step: Step = silent
) -> _Read:
    if asked.options:
        codes = [read_options(asked.items, each.chosen) for each in scores_of(subject, asked, arms, step)]
        return _Read(np.stack(codes), np.zeros((len(arms), len(asked.items)), dtype=bool))
    replies = replies_of(subject, asked, arms, step)
    read = [_judged(subject, asked, said, judge) for said in replies]
    return _Read(np.stack([codes for codes, _ in read]), np.stack([judged for _, judged in read]))


def _judged(
    subject: Subject, asked: Asked, replies: Sequence[Reply], judge: ReplyJudge | None
) -> tuple[Int8[np.ndarray, " items"], Bool[np.ndarray, " items"]]:
    """Readings of an arm's replies, and whether a judging model decided."""
    read = read_by_rule(asked, replies)
    codes, unsure = np.array([each.code for each in read], dtype=np.int8), np.array([not each.sure for each in read])
    if judge is None or not unsure.any():
        return codes, np.zeros(len(read), dtype=bool)
    rows = np.flatnonzero(unsure).tolist()
    found = _by_model(subject, asked, {row: replies[row].text for row in rows}, judge)
    codes[rows] = [FAILED if code is None else code for code in found]
    return codes, unsure


def _items(subject: Subject, asked: Asked, alphas: Sequence[float], read: _Read) -> Iterator[ItemReading]:
    """Readings of all items with the H-Neurons scaled by each factor."""
    for place, alpha in enumerate(alphas):
        for row, item in enumerate(asked.items):
            code, by = READ_AS[int(read.codes[place, row])], _read_by(asked, read, place, row)
            yield ItemReading(subject.stage, asked.benchmark.name, item.id, alpha, code, by, item.unit)


def _read_by(asked: Asked, read: _Read, place: int, row: int) -> ReadBy:
    if asked.options:
        return "option"
    return "judge" if read.judged[place, row] else "rule"


def _examples(
    subject: Subject, asked: Asked, ids: Int[np.ndarray, " k"], alphas: Sequence[float], read: _Read
) -> Iterator[ReplyExample]:
    """Replies to some items with the H-Neurons scaled; `read` is that of all factors."""
    differ = read.codes[0] != read.codes[-1]
    places = shown_factors(alphas)
    said = _texts(subject, asked, [Scaling(ids, alphas[place]) for place in places])
    for row in shown_items(differ):
        item = asked.items[row]
        for place, texts in zip(places, said, strict=True):
            yield ReplyExample(
                stage=subject.stage,
                benchmark=asked.benchmark.name,
                item=item.id,
                alpha=alphas[place],
                message="\n".join(filter(None, (item.message, item.doubt))),
                reply=texts[row].strip(),
                read_as=READ_AS[int(read.codes[place, row])],
                read_by=_read_by(asked, read, place, row),
                differ=int(differ.sum()),
                n=len(asked.items),
            )


def shown_factors(alphas: Sequence[float]) -> list[int]:
    """Places of the factors whose replies are shown: the smallest, 1 if it is there, and the largest."""
    last = len(alphas) - 1
    return [place for place, alpha in enumerate(alphas) if place in (0, last) or alpha == UNCHANGED]


def shown_items(differ: Bool[np.ndarray, " items"]) -> list[int]:
    """Numbers of the items whose replies are shown: of those that differ the first ones, then of the others."""
    return [*np.flatnonzero(differ).tolist(), *np.flatnonzero(~differ).tolist()][:EXAMPLES]


def _texts(subject: Subject, asked: Asked, arms: Sequence[Scaling]) -> list[list[str]]:
    """What each arm replies to every item: the chosen option, empty where it is none, or the text."""
    if not asked.options:
        return [[reply.text for reply in replies] for replies in replies_of(subject, asked, arms)]
    return [
        ["" if own < 0 else item.options[own] for item, own in zip(asked.items, each.chosen.tolist(), strict=True)]
        for each in scores_of(subject, asked, arms)
    ]


def _by_both(subject: Subject, asked: Asked, judge: ReplyJudge | None) -> tuple[tuple[str, int, int | None], ...]:
    """What rule and judging model make of the unchanged model's replies of which the rule is sure."""
    if judge is None or asked.options:
        return ()
    [replies] = replies_of(subject, asked, [PLAIN])
    sure = {row: each.code for row, each in enumerate(read_by_rule(asked, replies)) if each.sure and each.code >= 0}
    found = _by_model(subject, asked, {row: replies[row].text for row in sure}, judge)
    return tuple((asked.items[row].unit, code, model) for (row, code), model in zip(sure.items(), found, strict=True))


def _by_model(subject: Subject, asked: Asked, texts: Mapping[int, str], judge: ReplyJudge) -> list[int | None]:
    """Readings by a judging model of replies to items, by their numbers; None where it said no word of the wanted.

    They are kept some at a time, and all that there are where its server fails.
    """
    said = {asked.items[row].id: (asked.items[row], text) for row, text in texts.items()}
    content = hashlib.sha256("\0".join(f"{name}\0{text}" for name, (_, text) in said.items()).encode()).hexdigest()
    about = {"judge": judge.identity, "replies_sha256": content}
    task = task_of(subject, asked, "readings by a judging model", about)
    codes = subject.remembered_by_id(task, partial(_pieces, judge, asked.benchmark.kind, said), tuple(said))
    found = {one: None if codes[name] == NOT_JUDGED else codes[name] for name, one in said.items()}
    judge.known |= found
    return list(found.values())


def _pieces(
    judge: ReplyJudge, kind: BenchmarkKind, said: Mapping[str, Said], ids: Sequence[str]
) -> Iterator[dict[str, int]]:
    """Codes of readings by id of the item; before an error those that there are."""
    for start in range(0, len(ids), JUDGED_AT_ONCE):
        part = {name: said[name] for name in ids[start : start + JUDGED_AT_ONCE]}
        try:
            judge.ask(kind, part.values())
        except (InputError, JobError):
            yield {name: code for name, one in part.items() if (code := judge.known.get(one)) is not None}
            raise
        codes = {name: judge.known[one] for name, one in part.items()}
        yield {name: NOT_JUDGED if code is None else code for name, code in codes.items()}
