"""A probe's accuracy, AUROC and transfer at every C of the path, so that no conclusion depends on one C."""

from collections.abc import Mapping, Sequence

from provenance.activations.features import Features
from provenance.analyses.results.probes import CurvePoint
from provenance.probe.l1_path import Fit
from provenance.probe.sparse_probe import Probe
from provenance.records import Estimate
from provenance.statistics.bootstrap import accuracy_and_auroc, resampled_weights


def curve(
    probes: Sequence[tuple[Fit, Probe]],
    tests: Mapping[str, Features],
    transfers: Mapping[str, Features],
    *,
    seed: int = 0,
) -> tuple[CurvePoint, ...]:
    """Accuracy, AUROC and base transfer of every probe of a path on every question set, with shared bootstrap samples.

    `probes` were fitted on all training rows, C ascending; `tests` are balanced held-out answers of the model itself,
    `transfers` the base's own answers (empty for the base's own probe).
    """
    found: list[CurvePoint] = []
    own = {name: _scored(probes, features, seed) for name, features in tests.items()}
    theirs = {name: _scored(probes, features, seed) for name, features in transfers.items()}
    nothing: list[tuple[Estimate | None, Estimate | None]] = [(None, None)] * len(probes)
    for number, (fit, _) in enumerate(probes):
        for name in tests:
            accuracy, area = own[name][number]
            transfer = theirs.get(name, nothing)[number][1]
            found.append(CurvePoint(fit.C, int((fit.weights > 0).sum()), fit.ids.size, name, accuracy, area, transfer))
    return tuple(found)


def _scored(
    probes: Sequence[tuple[Fit, Probe]], features: Features, seed: int
) -> list[tuple[Estimate | None, Estimate | None]]:
    positive = features.hallucinated
    if not positive.any() or positive.all():
        return [(None, None)] * len(probes)
    weights = resampled_weights(features.units, seed=seed)
    return [accuracy_and_auroc(probe.scores(features.answer), positive, weights) for _, probe in probes]
