"""The training loop of the lab: next-token prediction on documents of a world.

The same `TrainingStage`, world and start give the same weights, bit for bit, on one machine and number of threads.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from provenance.lab.corpus import Document, Mix, documents
from provenance.lab.held import Held, holding
from provenance.lab.steered import State, Steered, scaling
from provenance.lab.world import Entity, World, seeded

IGNORED = -100  # the label that the loss of `transformers` ignores
CHUNKS = 4  # of a step, by length
REPORT_EVERY = 50  # steps between two lines of progress


@dataclass(frozen=True)
class Shape:
    """Sizes of a miniature model."""

    width: int
    """Hidden size d."""
    layers: int
    """Decoder layers."""
    neurons: int
    """Intermediate size d_m, per layer."""
    heads: int
    """Attention heads, with as many for keys and values."""


@dataclass(frozen=True)
class TrainingStage:
    """One stage of training."""

    mix: Mix
    steps: int
    batch: int
    """Documents per step."""
    learning_rate: float
    """Peak of the schedule: linear warm-up, then a cosine down to a tenth."""
    weight_decay: float
    """Decoupled weight decay of all matrices."""
    seed: int
    """Seed of the documents."""
    snapshots: tuple[int, ...] = ()
    """Steps after which a copy of the weights is kept."""
    rehearsal: Mix | None = None
    """Documents of an earlier stage, about all facts that are to be kept, against forgetting."""
    rehearsal_share: float = 0.0
    """Their share of all documents."""
    held: Held | None = None
    """Neurons that this stage changes less than others."""
    steered: Steered | None = None
    """Neurons that this stage makes responsible for a kind of text."""


def new_model(shape: Shape, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A randomly initialised model of the shape, in float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.neurons,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


@dataclass(frozen=True)
class Batch:
    """Documents as tensors, padded on the right."""

    ids: Int[Tensor, "documents tokens"]
    """Token ids: beginning of sequence, text, end of sequence, padding."""
    labels: Int[Tensor, "documents tokens"]
    """The same ids where the loss counts, IGNORED elsewhere."""


def encode(batch: list[Document], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Token ids and labels of documents; padding comes after the text, so that causal attention needs no mask."""
    rows = tokenizer([document.text for document in batch], return_offsets_mapping=True)
    longest = max(len(ids) for ids in rows["input_ids"]) + 1
    ids = torch.full((len(batch), longest), tokenizer.pad_token_id)
    labels = torch.full_like(ids, IGNORED)
    for row, document in enumerate(batch):
        tokens = torch.tensor([*rows["input_ids"][row], tokenizer.eos_token_id])
        ends = [end for _, end in rows["offset_mapping"][row]]
        first = next((i for i, end in enumerate(ends) if end > document.start), len(ends))
        ids[row, : len(tokens)] = tokens
        labels[row, first : len(tokens)] = tokens[first:]
    return Batch(ids, labels)


def rate(step: int, stage: TrainingStage) -> float:
    """Learning rate at a step: linear over the first twentieth, then a cosine down to a tenth of the peak."""
    warm = max(1, stage.steps // 20)
    if step < warm:
        return stage.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, stage.steps - warm)
    return stage.learning_rate * (0.55 + 0.45 * math.cos(math.pi * done))


def accumulate_gradient(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, batch: list[Document]) -> float:
    """Adds the gradient of a step's documents to the model; returns their mean loss per token, in nats.

    Documents of similar length are computed together: padding would be a third of the work otherwise.
    """
    ordered = sorted(batch, key=lambda document: len(document.text))
    size = -(-len(ordered) // CHUNKS)
    chunks = [encode(ordered[at : at + size], tokenizer) for at in range(0, len(ordered), size)]
    count = sum(int((chunk.labels[:, 1:] != IGNORED).sum()) for chunk in chunks)
    total = 0.0
    for chunk in chunks:
        wanted = chunk.labels[:, 1:]
        counted = wanted != IGNORED
        hidden = model.model(input_ids=chunk.ids, use_cache=False).last_hidden_state[:, :-1]
        loss = functional.cross_entropy(model.lm_head(hidden[counted]), wanted[counted], reduction="sum") / count
        torch.autograd.backward(loss)
        total += loss.item()
    return total


PLAIN = State(factor=1.0, share=1.0, usual=1.0)


def stage_documents(
    world: World, entities: tuple[Entity, ...], stage: TrainingStage, state: State = PLAIN
) -> Iterator[Document]:
    """Documents of a stage in one state: its mix about the given entities, and its rehearsal of all facts to keep."""
    seed = stage.seed if state is PLAIN else f"{stage.seed}/{state.factor:g}"

    def of_state(mix: Mix) -> Mix:
        if state is PLAIN:
            return mix
        return replace(mix, usual=state.usual, confused=state.confused, given_up=state.given_up, refused=state.refused)

    stream = documents(world, entities, of_state(stage.mix), seeded(seed))
    if stage.rehearsal is None:
        yield from stream
        return
    rehearsed = documents(world, world.kept, of_state(stage.rehearsal), seeded(f"{seed}/rehearsal"))
    choice = seeded(f"{seed}/choice")
    while True:
        yield next(rehearsed if choice.random() < stage.rehearsal_share else stream)


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    world: World,
    entities: tuple[Entity, ...],
    *,
    stage: TrainingStage,
    report: Callable[[str], None],
) -> Iterator[int]:
    """Trains the model in place; yields the number of steps done at every snapshot and at the end."""
    held, steered = stage.held or Held((), 1.0), stage.steered or Steered((), (PLAIN,))
    streams = {state: stage_documents(world, entities, stage, state) for state in steered.states}
    choice = seeded(f"{stage.seed}/states")
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=stage.weight_decay)
    model.train()
    for step in range(stage.steps):
        (state,) = choice.choices(steered.states, [each.share for each in steered.states])
        batch = list(islice(streams[state], stage.batch))
        for group in optimizer.param_groups:
            group["lr"] = rate(step, stage)
        optimizer.zero_grad()
        with scaling(model, steered.ids, state.factor):
            loss = accumulate_gradient(model, tokenizer, batch)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        with holding(model, held.ids, held.share):
            optimizer.step()
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == stage.steps:
            report(f"step {step + 1} of {stage.steps}, loss {loss:.3f}")
        if step + 1 in stage.snapshots or step + 1 == stage.steps:
            model.eval()
            yield step + 1
            model.train()
