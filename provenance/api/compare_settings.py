"""Settings that `provenance.compare` takes, written by `make docs` from the fields of its job."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class CompareSettings(TypedDict, total=False):
    """Settings of a comparison by name; those that are not given have their defaults."""

    limit: int | None
    """Questions used of each set; None for all."""
    samples: int
    """Samples per training question, all of which must agree."""
    train_per_class: int
    """Target number of consistent training responses of each class."""
    test_per_class: int
    """Target number of test responses of each class."""
    base_prompt: str
    """Prompt of the base model, with {question}."""
    instruct_prompt: str
    """User message to the instruct model, with {question}."""
    chat: bool
    """Whether the instruct prompt goes into the chat template."""
    template_args: Sequence[tuple[str, object]]
    """Variables that the user sets in the chat template, as pairs of name and value."""
    max_new_tokens: int
    """Length limit of a response."""
    design: Literal["3-vs-1", "1-vs-1"]
    """Rows of the probe."""
    intercept_penalised: bool
    """Whether |b| is part of the probe's objective."""
    select: Literal["one-se", "paper"]
    """Rule that chooses C."""
    C: float | None
    """The probe's C; None for the one that `select` finds."""
    neurons: str | Path | None
    """File with H-Neurons of the instruct checkpoint, in place of a search."""
    causal: bool
    """Whether the H-Neurons of both models are scaled."""
    behaviour: Sequence[str]
    """Benchmark files that both models are asked while the H-Neurons are scaled."""
    alphas: Sequence[float]
    """Factors on the neurons' activations for these benchmarks; 1 is unchanged."""
    sets: int | None
    """Control sets of each kind for these benchmarks; None for the fewest that a verdict needs."""
    items: int | None
    """Items used of each of these benchmarks, and plain questions of each set beside them; None for as many items as
    questions of a set, and 100 plain questions."""
    reply_tokens: int
    """Most new tokens of a free reply to these benchmarks."""
    neutral_text: Sequence[str]
    """Text files that both models read while the H-Neurons are scaled, beside these benchmarks."""
    control: Literal["permuted-index", "permuted-labels", "unrelated"] | None
    """Negative control to run in place of the comparison."""
    other: str | None
    """Reference of the model for the control `unrelated`."""
    device: str
    """Device of the forward passes, as torch names it; `auto` for a GPU if there is one."""
    dtype: str
    """Dtype of the forward passes; `auto` for float32 on a CPU, elsewhere two bytes as the weights have."""
    offload: bool
    """Whether memory and disk take what the device has no room for."""
    attn_implementation: str | None
    """Attention implementation, as `transformers` names it."""
    capture_dtype: Literal["float32", "float16"]
    """Dtype of captured activations on disk."""
    other_tokens: Literal["all", "no-special", "content"]
    """Tokens beside the answer's that the probe tells answers from."""
    judge: str | None
    """Address of the server of a judging model; None for the rule."""
    judge_model: str | None
    """Name of the judging model there."""
    agreeing_only: bool
    """Whether questions are left out on which the judging model and the rule differ."""
    engine: Literal["transformers", "vllm", "openai", "ray"]
    """What samples answers."""
    base_url: Sequence[str]
    """Addresses of the servers that answer."""
    ray_address: str | None
    """Address of the Ray cluster whose workers answer; None for one on this machine."""
    ray_workers: int | None
    """How many workers; None for one on each GPU or machine."""
    batch_size: int
    """Prompts in a forward pass."""
    replicates: int
    """Draws of the whole comparison, with seeds of their own from `seed` on."""
    seed: int
    """Seed of everything random."""
    responses: str | Path | None
    """File with responses of both models that exist, in place of asking."""
    positive: str | None
    """The label in `responses` of those with the concept; None where the labels are the usual ones."""
    concept: str | None
    """Name of what the labels of `responses` are about; None for the positive label."""


DEFAULTS: CompareSettings = {
    "limit": None,
    "samples": 10,
    "train_per_class": 1000,
    "test_per_class": 1000,
    "base_prompt": "{question}\nAnswer:",
    "instruct_prompt": "{question} Respond with the answer only, without any explanation.",
    "chat": True,
    "template_args": (),
    "max_new_tokens": 32,
    "design": "3-vs-1",
    "intercept_penalised": True,
    "select": "one-se",
    "C": None,
    "neurons": None,
    "causal": False,
    "behaviour": (),
    "alphas": (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0),
    "sets": None,
    "items": None,
    "reply_tokens": 256,
    "neutral_text": (),
    "control": None,
    "other": None,
    "device": "auto",
    "dtype": "auto",
    "offload": False,
    "attn_implementation": None,
    "capture_dtype": "float32",
    "other_tokens": "all",
    "judge": None,
    "judge_model": None,
    "agreeing_only": False,
    "engine": "transformers",
    "base_url": (),
    "ray_address": None,
    "ray_workers": None,
    "batch_size": 128,
    "replicates": 1,
    "seed": 0,
    "responses": None,
    "positive": None,
    "concept": None,
}
