"""Transfer with magnitudes put right, and whether single neurons point the same way in both models.

The one idea: a probe's weights are made for the magnitudes of the model that it was fitted on. If a base's neurons
carry the same signal at another scale, raw weights miss it; if they carry none, no scale brings it out. So each
neuron is moved onto the instruct model's scale, without a look at labels, and control sets are moved with it.

Choices: moments and quantiles are those of the answers that each model was trained on (`answer`, both classes). A
neuron that does not vary there has no scale: it is put where the instruct model's mean, or median, is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import hypergeom

from provenance.activations.features import Features
from provenance.activations.neuron_rows import NeuronRows
from provenance.analyses.activity.by_label import neuron_aurocs
from provenance.analyses.controls.control_probes import ControlProbe, batches, fit_controls
from provenance.analyses.controls.control_sets import ControlSetKind
from provenance.analyses.results.transfer import ScaleControl, ScaleKind, SignAgreement
from provenance.analyses.transfer.two_by_two import (
    NO_PROBE,
    SAME_SCORE,
    bar,
    control_bars,
    missing_class,
    score,
    scored,
)
from provenance.probe.sparse_probe import Probe
from provenance.records import Estimate
from provenance.statistics.auroc import aurocs

Controls = Mapping[ControlSetKind, Sequence[ControlProbe]]
Columns = Float[np.ndarray, "rows neurons"]
BaseColumns = Float[np.ndarray, "base_rows neurons"]
InstructColumns = Float[np.ndarray, "instruct_rows neurons"]
Move = Callable[[Columns, BaseColumns, InstructColumns], Columns]
"""Values of the base, its training values, the instruct model's: the first on the scale of the last."""
NO_ROWS = NeuronRows.of(np.empty((0, 0), dtype=np.float32))
BLOCK_BYTES = 1 << 27  # of float64 columns that are moved together


def z_scored(values: Columns, base: BaseColumns, instruct: InstructColumns) -> Columns:
    """Each neuron with the mean and the SD that it has in the instruct model.

        (x - mean_base) / SD_base * SD_instruct + mean_instruct

    Args:
        values: Of the base.
        base: Its training values; moments are taken over rows.
        instruct: The instruct model's.

    Returns:
        Float64; the instruct mean for a neuron that is constant in `base`.
    """
    centre, spread = base.mean(axis=0), base.std(axis=0)
    varies = np.ptp(base, axis=0) > 0
    factor = np.where(varies, instruct.std(axis=0) / np.where(varies, spread, 1.0), 0.0)
    return np.asarray((values - centre) * factor + instruct.mean(axis=0), dtype=np.float64)


def quantile_mapped(values: Columns, base: BaseColumns, instruct: InstructColumns) -> Columns:
    """Each neuron's value at the quantile of the instruct model's that it has among the base's.

        Q_instruct(F_base(x)),   F at the i-th smallest of n training values (i - 1/2) / n, Q its inverse

    Choice: between training values both are linear, so order is kept. Equal training values share the middle of
    their quantiles. What lies outside the base's training values is put at the smallest or the largest one's place:
    ranks say nothing of how far outside it is.

    Args:
        values: Of the base.
        base: Its training values.
        instruct: The instruct model's.

    Returns:
        Float64; the instruct median for a neuron that is constant in `base`, whatever its value.
    """
    moved = np.empty(values.shape)
    places = (np.arange(len(instruct)) + 0.5) / len(instruct)
    targets = np.sort(instruct, axis=0)
    for column in range(values.shape[1]):
        known, counts = np.unique(base[:, column], return_counts=True)
        quantiles = (np.cumsum(counts) - counts / 2) / len(base)
        moved[:, column] = np.interp(np.interp(values[:, column], known, quantiles), places, targets[:, column])
    return moved


MOVES: dict[ScaleKind, Move] = {"z_score": z_scored, "rank": quantile_mapped}


@dataclass(frozen=True)
class Scaled:
    """What scales are compared on; all features are in the order of the instruct checkpoint's neurons."""

    instruct_train: Features
    """Answers that the instruct probe was fitted on."""
    base_train: Features
    """Answers that the base's was fitted on."""
    tests: Mapping[str, Features]
    """The base's held-out answers by question set."""


def scales(
    probe: Probe | None,
    base_probe: Probe | None,
    instruct_train: Features,
    base_train: Features,
    instruct_tests: Mapping[str, Features],
    base_tests: Mapping[str, Features],
    controls: Controls,
    base_controls: Controls,
    *,
    seed: int = 0,
) -> tuple[ScaleControl, ...]:
    """Transfer in six ways on every question set.

    Args:
        probe: The instruct probe.
        base_probe: The base's own probe.
        instruct_train: Answers that the first was fitted on.
        base_train: Answers that the second was fitted on.
        instruct_tests: Held-out answers of the instruct model by question set.
        base_tests: Held-out answers of the base.
        controls: Neuron sets refitted on `instruct_train`.
        base_controls: Neuron sets of the base's probe refitted on `base_train`.
        seed: Of the bootstrap, which all share.

    Returns:
        Question set by question set, in the order of `ScaleKind`. Neuron sets are moved, or refitted on the base's
        training answers, as the probe is. Features are in the order of the instruct checkpoint's neurons.
    """
    given = Scaled(instruct_train, base_train, base_tests)
    rows: dict[ScaleKind, dict[str, ScaleControl]] = {"raw": _plain("raw", probe, base_tests, controls, seed)}
    rows |= {kind: _moved(kind, probe, given, controls, seed) for kind in MOVES}
    rows["refit"] = _refitted(probe, given, controls, seed)
    rows["forward"] = _plain("forward", base_probe, instruct_tests, base_controls, seed)
    rows["base_probe"] = _plain("base_probe", base_probe, base_tests, base_controls, seed)
    return tuple(kinds[name] for name in base_tests for kinds in rows.values() if name in kinds)


def _row(
    dataset: str, kind: ScaleKind, found: tuple[Estimate | None, str], bars: Mapping[ControlSetKind, float | None]
) -> ScaleControl:
    estimate, reason = found
    shown = bars if estimate is not None else {}
    return ScaleControl(dataset, kind, estimate, shown.get("random"), shown.get("layer_matched"), reason)


def _plain(
    kind: ScaleKind, probe: Probe | None, tests: Mapping[str, Features], controls: Controls, seed: int
) -> dict[str, ScaleControl]:
    """A probe as it is."""
    rows: dict[str, ScaleControl] = {}
    for name, test in tests.items():
        found = score(probe, test, seed)
        rows[name] = _row(name, kind, found, control_bars(controls, test) if found[0] is not None else {})
    return rows


def _refitted(probe: Probe | None, given: Scaled, controls: Controls, seed: int) -> dict[str, ScaleControl]:
    """The same neurons with the best weights that the base's training answers give: no scale can do better."""
    reason = NO_PROBE if probe is None else missing_class(given.base_train)
    if probe is not None and not probe.nonzero.size:
        reason = SAME_SCORE
    if probe is None or reason:
        return {name: _row(name, "refit", (None, reason), {}) for name in given.tests}
    [fitted] = fit_controls(given.base_train, [probe.nonzero], probe.design)
    wide = np.zeros(probe.weights.size)
    wide[fitted.columns] = fitted.probe.weights
    refitted = Probe(wide, fitted.probe.intercept, fitted.probe.C, probe.design, False)
    sets = {
        kind: fit_controls(given.base_train, [control.columns for control in members], probe.design)
        for kind, members in controls.items()
    }
    return _plain("refit", refitted, given.tests, sets, seed)


def _moved(
    kind: ScaleKind, probe: Probe | None, given: Scaled, controls: Controls, seed: int
) -> dict[str, ScaleControl]:
    """The probe and its controls, weights unchanged, on the base's answers at the instruct model's scale."""
    trained = len(given.base_train) and len(given.instruct_train)
    reason = NO_PROBE if probe is None else "" if trained else "one of the models has no training answers"
    if probe is None or reason:
        return {name: _row(name, kind, (None, reason), {}) for name in given.tests}
    sets = [_as_set(probe), *(control for members in controls.values() for control in members)]
    kinds = np.array(["", *(name for name, members in controls.items() for _ in members)])
    rows = reduce(NeuronRows.stacked, (test.answer for test in given.tests.values()), NO_ROWS)
    values = moved_scores(MOVES[kind], sets, rows, given.base_train.answer, given.instruct_train.answer)
    found: dict[str, ScaleControl] = {}
    start = 0
    for name, test in given.tests.items():
        own = values[start : start + len(test)]
        start += len(test)
        estimate = scored(own[:, 0], test, seed)
        areas = aurocs(own, test.hallucinated)
        bars = {each: bar(areas[kinds == each]) for each, members in controls.items() if members and estimate[0]}
        found[name] = _row(name, kind, estimate, bars)
    return found


def _as_set(probe: Probe) -> ControlProbe:
    """A probe as one on its own neurons only."""
    return ControlProbe(probe.nonzero, replace(probe, weights=probe.weights[probe.nonzero]))


def moved_scores(
    move: Move, sets: Sequence[ControlProbe], rows: NeuronRows, base: NeuronRows, instruct: NeuronRows
) -> Float[np.ndarray, "rows sets"]:
    """Decision values of rows of the base after each neuron was moved onto the instruct model's scale.

    Args:
        move: How.
        sets: Probes on sets of neurons.
        rows: Answers of the base.
        base: Its training answers.
        instruct: Those of the instruct model.

    Returns:
        A column for each set; every neuron is moved once for all sets that are read together.
    """
    scores: list[Float[np.ndarray, " rows"]] = []
    most = BLOCK_BYTES // max(1, 8 * (len(rows) + len(base) + len(instruct)))
    for batch in batches(sets, lambda each: each.columns.size, most):
        union = np.unique(np.concatenate([each.columns for each in batch]))
        values = move(*(part.columns(union).astype(np.float64) for part in (rows, base, instruct)))
        scores += [each.probe.scores(values[:, np.searchsorted(union, each.columns)]) for each in batch]
    return np.stack(scores, axis=1)


def sign_agreement(
    probe: Probe, instruct_train: Features, base_train: Features, layers: int, d_m: int
) -> SignAgreement:
    """Whether the probe's neurons point the same way in both models more often than others of their layers.

    A neuron points towards hallucinated answers where its AUROC on one model's training answers is above 0.5. Of n
    such neurons of a layer of which a agree, any k are equally likely under the null, so the number that agree is a
    sum of independent hypergeometric variables, one per layer, and its distribution is computed and not drawn.

    The null takes neurons for independent. Those of a probe were chosen for one signal and go together, so a small p
    says that they are not like any others of their layers, and not how many pieces of evidence there are.

    Args:
        probe: Any; its non-zero weights say which neurons.
        instruct_train: Answers of the instruct model.
        base_train: Answers of the base, in the order of the instruct checkpoint's neurons.
        layers: Layers of the model.
        d_m: Neurons per layer.

    Returns:
        The null is over all neurons of the layer with a side in both models, the probe's own included, as for a
        permutation; so p is never 0. Without a neuron that has a side, k is 0 and the rest is None.
    """
    areas = [neuron_aurocs(train) for train in (instruct_train, base_train)]
    sides = [np.sign(area - 0.5) if area.size else np.full(layers * d_m, np.nan) for area in areas]
    product = (sides[0] * sides[1]).reshape(layers, d_m)  # 1 agrees, -1 does not, 0 and NaN have no side
    counted, agree = np.abs(product) == 1, product == 1
    chosen = np.zeros(layers * d_m, dtype=bool)
    chosen[probe.nonzero] = True
    picked = chosen.reshape(layers, d_m) & counted
    k, observed = int(picked.sum()), int((picked & agree).sum())
    sizes = (counted.sum(axis=1), agree.sum(axis=1), picked.sum(axis=1))
    expected = float((sizes[2] * sizes[1] / np.maximum(sizes[0], 1)).sum()) / k if k else None
    return SignAgreement(
        k=k,
        agree=observed,
        share=observed / k if k else None,
        expected=expected,
        p_value=_at_least(observed, *sizes) if k else None,
        n_base=len(base_train),
        n_instruct=len(instruct_train),
    )


def _at_least(
    observed: int,
    counted: Int[np.ndarray, " layers"],
    agree: Int[np.ndarray, " layers"],
    picked: Int[np.ndarray, " layers"],
) -> float:
    """P(at least so many of the picked neurons agree) where any neurons of the same layers could have been picked."""
    chances = np.ones(1)
    for n, a, k in zip(counted, agree, picked, strict=True):
        if k:
            chances = np.convolve(chances, hypergeom(n, a, k).pmf(np.arange(k + 1)))
    return min(1.0, float(chances[observed:].sum()))
