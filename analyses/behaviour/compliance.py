"""How a model replies to a benchmark while sets of its neurons are scaled.

Every arm (a set and a factor) gets the same prompts. A choice of options costs one pass over the prompt; only free
replies are generated, greedily.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float64, Int, Int8

from provenance.activations.neuron_rows import NO_NEURONS
from provenance.activations.scaling import edited
from provenance.analyses.asking.subject import Subject
from provenance.analyses.behaviour.arm_passes import scores_of
from provenance.analyses.behaviour.arms import (
    FAILED,
    HOLDS,
    PLAIN,
    YIELDS,
    Arm,
    Scaling,
    kept,
    read_options,
)
from provenance.analyses.behaviour.asked_items import Asked, second_messages, short_enough, written
from provenance.analyses.behaviour.compliance_curves import Readings
from provenance.analyses.behaviour.compliance_sets import Sets, disturbances, prompt_activity, scaled_sets
from provenance.analyses.results.behaviour import ScaledKind
from provenance.answers.collect_responses import stop_ids_of
from provenance.answers.sampling import Decoding, LocalSampler, Sampled
from provenance.benchmarks.items import Benchmark, Item
from provenance.benchmarks.refutations import reading_of
from provenance.errors import NonFiniteError
from provenance.models.loading import LoadedModel

logger = logging.getLogger(__name__)
GREEDY = Decoding(temperature=1.0, top_k=1, top_p=1.0)
READINGS = {"yields": YIELDS, "holds": HOLDS, "failed": FAILED}


def readings_of(
    subject: Subject, benchmark: Benchmark, ids: Int[np.ndarray, " k"], alphas: Sequence[float], *, sets: int, seed: int
) -> Readings:
    """Readings of a benchmark's replies with the H-Neurons and with control sets scaled by each factor.

    Args:
        subject: The model; loaded if an arm is not kept already.
        ids: Flat ids of the H-Neurons in this model, distinct; at least one.
        alphas: Factors >= 0, ascending. Where 1 is among them, the model is asked once for all sets.
        sets: Control sets of each kind.

    Raises:
        QuestionError: Options that no first token tells apart.
        InputError: Too few neurons for control sets.
        CaptureError, PairError, StoreError: See `provenance.activations.scaling.scaled` and `Subject.remembered`.
    """
    asked = asked_of(subject, benchmark)
    if not asked.items:
        return Readings(subject.stage, benchmark.name, (), tuple(alphas), {}, ids.size, {})
    sets_of = sets_beside(subject, asked, ids, sets=sets, seed=seed)
    arms = [Scaling(own, alpha) for members in sets_of.values() for own in members for alpha in alphas]
    read = iter(_readings(subject, asked, arms))
    found: dict[ScaledKind, np.ndarray] = {
        kind: np.stack([np.stack([next(read) for _ in alphas]) for _ in members]) for kind, members in sets_of.items()
    }
    moved = {kind: _disturbances(subject, asked, members) for kind, members in sets_of.items()}
    units = tuple(item.id for item in asked.items)
    return Readings(subject.stage, benchmark.name, units, tuple(alphas), found, ids.size, moved)


def asked_of(subject: Subject, benchmark: Benchmark) -> Asked:
    """A benchmark as a model is asked; of a doubted choice, the second message of what it answers right at first."""
    asked = short_enough(subject, written(benchmark, subject.settings.prompt, subject.tokenizer))
    if benchmark.kind != "sycophancy":
        return asked
    [own] = scores_of(subject, asked, [PLAIN])
    return second_messages(subject, asked, own.chosen.tolist())


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


def _readings(subject: Subject, asked: Asked, arms: Sequence[Scaling]) -> list[Int8[np.ndarray, " items"]]:
    """Readings of all items in each arm; all failed where it makes scores that are not finite.

    Raises:
        NonFiniteError: So are those of the unchanged model.
    """
    step = partial(subject.clock.progress.step, f"scale {asked.benchmark.name}", note="neuron sets and factors")
    if asked.options:
        return [read_options(asked.items, each.chosen) for each in scores_of(subject, asked, arms, step)]
    found: list[np.ndarray] = []
    for arm in arms:
        found.append(_of_replies(subject, asked, PLAIN if arm.is_plain else arm))
        step(len(found), len(arms))
    return found


def _of_replies(subject: Subject, asked: Asked, arm: Scaling) -> Int8[np.ndarray, " items"]:
    def compute() -> np.ndarray:
        try:
            return _replies_read(subject, asked, arm)
        except NonFiniteError:
            if arm.is_plain:
                raise
            logger.warning("%s: %s makes scores that are not finite; the arm counts as unreadable",
                           asked.benchmark.name, arm.name)  # fmt: skip
            return np.full(len(asked.items), FAILED, dtype=np.int8)

    return kept(subject, asked, "readings of replies", compute, arm.recorded())


def _replies_read(subject: Subject, asked: Asked, arm: Arm) -> Int8[np.ndarray, " items"]:
    """Greedy replies, read by the rule of refutations; one that is cut off before it refutes anything has failed."""
    loaded, how = subject.model(), subject.settings
    stops = stop_ids_of(loaded.lexicon, how.prompt, newline=how.stop_at_newline)
    decoding = replace(GREEDY, max_new_tokens=how.decoding.max_new_tokens)
    read: list[int] = []
    for start in range(0, len(asked.items), how.batch_size):
        part = slice(start, start + how.batch_size)
        with edited(loaded, arm.edits(loaded, range(len(asked.items))[part])):
            draw = LocalSampler(loaded).prompted(asked.prompts[part], decoding, stops)
            replies = draw(range(len(asked.items[part])), range(1), 0)
        read += [
            _reading(loaded, samples[0], item, decoding.max_new_tokens)
            for item, samples in zip(asked.items[part], replies, strict=True)
        ]
    return np.array(read, dtype=np.int8)


def _reading(loaded: LoadedModel, sampled: Sampled, item: Item, most: int) -> int:
    text = sampled if isinstance(sampled, str) else loaded.tokenizer.decode(sampled, skip_special_tokens=True)
    reading = READINGS[reading_of(text, item.message)]
    return FAILED if reading == YIELDS and len(sampled) >= most else reading
