"""Results about one checkpoint of a timeline."""

from collections.abc import Callable
from dataclasses import dataclass

from provenance.analyses.results.transfer import _MISSING, _P95_MATCHED, _P95_RANDOM
from provenance.cells import Record, fixed
from provenance.records import Estimate, Stage
from provenance.table_declaration import column, table


def _highest(name: str) -> Callable[[Record], str]:
    """A cell with the higher 95th percentile of random and of layer-matched neuron sets."""

    def cell(record: Record) -> str:
        found = (record[f"{name}_random_p95"], record[f"{name}_layer_matched_p95"])
        return fixed(max((value for value in found if value is not None), default=None))

    return cell


@table(
    "trace_point",
    "Readable at each point",
    row="one checkpoint of a timeline, the floor first",
    query="trace",
    note="AUROC of the last checkpoint’s probe, weights unchanged, on the last checkpoint’s answers as each one reads "
    "them, and on each one’s own answers, with the higher 95th percentile of random and layer-matched neuron sets; n: "
    "own answers, faithful + hallucinated. From each checkpoint to the last: mean stability rank of the H-Neurons (0 = "
    "changed most) against neurons of the same layers, with its one-sided permutation p; mean 1 − cosine of up and "
    "down weights; mean correlation r of activations over the same tokens. H: H-Neurons.",
)
@dataclass(frozen=True)
class TimelinePoint:
    """One checkpoint of a timeline, read with the probe of the last one."""

    position: int = column("", "count", "Place in the timeline, from 0; the floor is -1.", key=True)
    ref: str = column("checkpoint", "text", "As the user wrote it; `random initialisation` for the floor.")
    digest: str = column("", "text", "Content digest.")
    is_floor: bool = column("", "yes", "Whether it is the randomly initialised model.")
    prompt: Stage = column("prompt", "text", "Prompt format.")
    own: Estimate | None = column(
        "own answers",
        "ci2",
        "AUROC of the last checkpoint's probe, weights unchanged, on this one's own answers; None if a class "
        "is missing.",
    )
    own_random_p95: float | None = column("sets p95", _highest("own"), _P95_RANDOM)
    own_layer_matched_p95: float | None = column("", "fixed2", _P95_MATCHED)
    n_faithful: int = column("n (f + h)", "pair", "Own faithful answers scored.", beside="n_hallucinated")
    n_hallucinated: int = column("", "count", "Own hallucinated answers scored.")
    forced: Estimate | None = column(
        "last’s answers",
        "ci2",
        "AUROC of the last checkpoint's probe while this one reads the last one's answers, the same texts and "
        "labels for all.",
        counted=True,
    )
    forced_random_p95: float | None = column("sets p95", _highest("forced"), _P95_RANDOM)
    forced_layer_matched_p95: float | None = column("", "fixed2", _P95_MATCHED)
    mean_stability_rank: float | None = column(
        "mean rank",
        "fixed3",
        "Mean stability rank of the H-Neurons from here to the last checkpoint (0 = changed most); None for "
        "the last one.",
    )
    null_mean: float | None = column("null", "fixed3", "Mean rank over sets of neurons of the same layers.")
    p_value: float | None = column("p", "p", "One-sided permutation p of being more stable than these sets.")
    change_h: float | None = column(
        "1 − cos, H",
        "compact",
        "Mean over the H-Neurons of 1 - cos of the weights from here to the last checkpoint (mean of up and down).",
    )
    change_all: float | None = column("1 − cos, all", "compact", "Mean over all neurons of the same 1 - cos.")
    correlation_h: float | None = column(
        "r, H",
        "fixed2",
        "Mean over the H-Neurons of the correlation of activations with the last checkpoint's, over the same tokens.",
    )
    correlation_all: float | None = column("r, all", "fixed2", "Mean over all neurons of the same correlation.")
    reason: str = column("", "text", _MISSING)
