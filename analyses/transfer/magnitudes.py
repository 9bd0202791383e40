"""Transfer with each base neuron rescaled to the instruct model's magnitudes, and sign agreement of single neurons.

Rescaling only reveals a signal that exists at another scale; it uses no labels, and controls are rescaled too. Choice:
moments and quantiles come from each model's training answers (`answer`, both classes). A neuron that is constant there
is set to the instruct model's mean or median.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

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
from provenance.processes.fork_join import fork_join
from provenance.records import Estimate
from provenance.statistics.auroc import aurocs

Controls = Mapping[ControlSetKind, Sequence[ControlProbe]]
Columns = Float[np.ndarray, "rows neurons"]
BaseColumns = Float[np.ndarray, "base_rows neurons"]
InstructColumns = Float[np.ndarray, "instruct_rows neurons"]
Move = Callable[[Columns, BaseColumns, InstructColumns], Columns]
"""Arguments: base values, base training values, instruct training values. Returns the base values, rescaled."""
NO_ROWS = NeuronRows.of(np.empty((0, 0), dtype=np.float32))
BLOCK_BYTES = 1 << 27  # float64 columns rescaled in one batch


def z_scored(values: Columns, base: BaseColumns, instruct: InstructColumns) -> Columns:
    """Gives base values each neuron's mean and SD in the instruct model, from training rows.

        (x - mean_base) / SD_base * SD_instruct + mean_instruct

    Float64; the instruct mean for a neuron that is constant in `base`.
    """
    centre, spread = base.mean(axis=0), base.std(axis=0)
    varies = np.ptp(base, axis=0) > 0
    factor = np.where(varies, instruct.std(axis=0) / np.where(varies, spread, 1.0), 0.0)
    return np.asarray((values - centre) * factor + instruct.mean(axis=0), dtype=np.float64)


def quantile_mapped(values: Columns, base: BaseColumns, instruct: InstructColumns) -> Columns:
    """Maps each neuron's base quantile to the same quantile of the instruct model; float64.

        Q_instruct(F_base(x)),   F at the i-th smallest of n training values (i - 1/2) / n, Q its inverse

    The instruct median for a neuron that is constant in `base`. Choice: linear between training values, which keeps
    order; equal training values share the middle of their quantiles. Values outside the base's range map to the
    instruct extremes, because ranks do not tell how far outside they are.
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
    """Data for the comparison of scales, with features in the order of the instruct checkpoint's neurons."""

    instruct_train: Features
    """Training answers of the instruct probe."""
    base_train: Features
    """Training answers of the base probe."""
    tests: Mapping[str, Features]
    """Held-out answers of the base, by question set."""


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
    """Transfer at six scales, by question set in the order of `ScaleKind`; neurons are in the instruct model's order.

    Controls were refitted on their own model's training answers, and are rescaled or refitted as the probe is.
    """
    given = Scaled(instruct_train, base_train, base_tests)
    refitted, forward, own, raw, *moved = fork_join(
        [
            partial(_refitted, probe, given, controls, seed),  # it takes the longest, so it begins first
            partial(_plain, "forward", base_probe, instruct_tests, base_controls, seed),
            partial(_plain, "base_probe", base_probe, base_tests, base_controls, seed),
            partial(_plain, "raw", probe, base_tests, controls, seed),
            *(partial(_moved, kind, probe, given, controls, seed) for kind in MOVES),
        ]
    )
    rows = raw, *moved, refitted, forward, own
    return tuple(kinds[name] for name in base_tests for kinds in rows if name in kinds)


def _row(
    dataset: str, kind: ScaleKind, found: tuple[Estimate | None, str], bars: Mapping[ControlSetKind, float | None]
) -> ScaleControl:
    estimate, reason = found
    shown = bars if estimate is not None else {}
    return ScaleControl(dataset, kind, estimate, shown.get("random"), shown.get("layer_matched"), reason)


def _plain(
    kind: ScaleKind, probe: Probe | None, tests: Mapping[str, Features], controls: Controls, seed: int
) -> dict[str, ScaleControl]:
    rows: dict[str, ScaleControl] = {}
    for name, test in tests.items():
        found = score(probe, test, seed)
        rows[name] = _row(name, kind, found, control_bars(controls, test) if found[0] is not None else {})
    return rows


def _refitted(probe: Probe | None, given: Scaled, controls: Controls, seed: int) -> dict[str, ScaleControl]:
    """The same neurons with weights refitted on the base's training answers: the upper bound for any rescaling."""
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
    return ControlProbe(probe.nonzero, replace(probe, weights=probe.weights[probe.nonzero]))


def moved_scores(
    move: Move, sets: Sequence[ControlProbe], rows: NeuronRows, base: NeuronRows, instruct: NeuronRows
) -> Float[np.ndarray, "rows sets"]:
    """Decision values of rescaled base rows, a column per set; each neuron is rescaled once per batch of sets."""
    scores: list[Float[np.ndarray, " rows"]] = []
    most = BLOCK_BYTES // max(1, 8 * (len(rows) + len(base) + len(instruct)))
    for batch in batches(sets, lambda each: each.columns.size, most):
        union = np.unique(np.concatenate([each.columns for each in batch]))
        values = move(*(part.columns(union).astype(np.float64) for part in (rows, base, instruct)))
        scores += [each.probe.scores(values[:, np.searchsorted(union, each.columns)]) for each in batch]
    return np.stack(scores, axis=1)


def sign_agreement(
    probe: Probe,
    instruct_train: Features,
    base_train: Features,
    layers: int,
    d_m: int,
    known: Sequence[Float[np.ndarray, " neurons"] | None] = (None, None),
) -> SignAgreement:
    """Whether the probe's neurons have the same sign in both models more often than other neurons of their layers.

    A neuron points towards hallucinated answers if its AUROC on the model's training answers is above 0.5. Of n neurons
    of a layer of which a agree, any k are equally likely under the null, so the number that agree is a sum of
    independent hypergeometric variables, one per layer, with an exact distribution. Probe neurons are correlated,
    because they were chosen for one signal, but independent in the null: a small p says that they differ from other
    neurons of their layers, not how many pieces of evidence there are.

    Args:
        known: What `neuron_aurocs` gives for both, where it was computed before: it ranks every neuron.

    Returns:
        Counts for non-zero weights; `base_train` is in the instruct checkpoint's order. The null covers all neurons of
        a layer with a sign in both models, probe neurons included, so p is never 0. Without any, k is 0, the rest None.
    """
    trained = (instruct_train, base_train)
    areas = [neuron_aurocs(train) if area is None else area for train, area in zip(trained, known, strict=True)]
    sides = [np.sign(area - 0.5) if area.size else np.full(layers * d_m, np.nan) for area in areas]
    product = (sides[0] * sides[1]).reshape(layers, d_m)  # 1: same sign, -1: opposite signs, 0 or NaN: no sign
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
    chances = np.ones(1)
    for n, a, k in zip(counted, agree, picked, strict=True):
        if k:
            chances = np.convolve(chances, hypergeom(n, a, k).pmf(np.arange(k + 1)))
    return min(1.0, float(chances[observed:].sum()))
