"""Results about single neurons: the tokens they write, and the answers on which they are most active."""

from dataclasses import dataclass

from provenance.cells import Record, fixed
from provenance.records import Label, Stage
from provenance.table_declaration import column, table
from provenance.words import null_words, stored_tokens, token_words

TOKENS_SHOWN = 5  # in a table


def _promotes(record: Record) -> str:
    return token_words(stored_tokens(record["promotes"])[:TOKENS_SHOWN])


def _suppresses(record: Record) -> str:
    return token_words(stored_tokens(record["suppresses"])[:TOKENS_SHOWN])


def _null_space(record: Record) -> str:
    return null_words(record["null_share"], record["null_rank"])


def _said(record: Record) -> str:
    return f"{record['answer']} ({record['label']}, {fixed(record['cett'], 4)})"


@table(
    "neuron_vocabulary",
    "What the H-Neurons write into the vocabulary",
    row="what one H-Neuron promotes and suppresses among the tokens of one model",
    query="neuron-vocabulary",
    subject="activity_set",
    note="Product of the unembedding with the neuron’s down column (in the base: of its counterpart), with the weights "
    "of the norm after the MLP, if there is one, and of the final norm; a LayerNorm takes the column’s mean out. Less "
    "the mean over all tokens, in standard deviations over all tokens. “Promotes” is for a positive output of the "
    "neuron, a negative one suppresses the same tokens. It is the direct effect only: later layers are left out. Null "
    "space: share of the column’s norm in the 1 % of directions that the unembedding passes on least, and in brackets "
    "the share of its layer’s neurons that have less there. A neuron with far more than its layer acts on the final "
    "norm, and so on the entropy of the next token, rather than on tokens (Stolfo et al. 2024, arXiv:2406.16254).",
)
@dataclass(frozen=True)
class NeuronVocabulary:
    """One H-Neuron of the instruct checkpoint against the vocabulary of one model."""

    stage: Stage = column("model", "text", "Model.", key=True)
    layer: int = column("layer", "count", "Layer in the instruct checkpoint, from 0.", key=True)
    neuron_index: int = column("index", "count", "Index in that layer, from 0.", key=True)
    promotes: str = column(
        "promotes", _promotes, "JSON list of [token, id, product in SD over all tokens], the largest product first."
    )
    suppresses: str = column("suppresses", _suppresses, "The same, the smallest product first.")
    logit_sd: float | None = column(
        "SD of logits",
        "compact",
        "Standard deviation over all tokens of the product: change of logits for each unit of output, up to the "
        "divisors of norms.",
    )
    null_share: float | None = column(
        "null space (rank in layer)",
        _null_space,
        "Share of the column's norm in the lowest singular directions of the unembedding, in [0, 1]; None for a neuron "
        "of zeros, or if the model is too wide.",
    )
    null_rank: float | None = column(
        "", "fixed2", "Fraction of the neurons of its layer whose share is smaller, in [0, 1); None without a share."
    )
    null_random: float | None = column(
        "", "fixed2", "Root of the fraction of directions that count as lowest: about the share of a random column."
    )
    reason: str = column("why there is none", "text", "Why the tokens are missing; empty otherwise.")


@table(
    "neuron_answer",
    "Answers on which the H-Neurons are most active",
    row="one of the held-out answers of one model with the highest mean CETT of one H-Neuron",
    query="neuron-answers",
    subject="activity_set",
    note="By mean CETT over the answer’s tokens, which is what was captured: which of the tokens carries it is not "
    "known. Over all question sets.",
)
@dataclass(frozen=True)
class NeuronAnswer:
    """One held-out answer on which an H-Neuron is among the most active."""

    stage: Stage = column("model", "text", "Model that gave the answer, and whose activity it is.", key=True)
    layer: int = column("layer", "count", "Layer in the instruct checkpoint, from 0.", key=True)
    neuron_index: int = column("index", "count", "Index in that layer, from 0.", key=True)
    place: int = column("place", "count", "1 for the highest mean CETT.", key=True)
    dataset: str = column("question set", "text", "Question set.")
    question_id: str = column("question", "text", "Id of the question in its set.")
    label: Label = column("", "text", "`faithful` or `hallucinated`.")
    cett: float = column("", "compact", "Mean CETT of the neuron over the answer's tokens.", unit="CETT")
    answer: str = column("answer (label, mean CETT)", _said, "Text of the answer's tokens.")
