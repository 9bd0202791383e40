"""A tiny model that yields by three planted neurons, and the items that it yields to."""

import json
from pathlib import Path

import numpy as np
import torch
from checkpoint_factory import make_checkpoint, make_tokenizer
from transformers import AutoModelForCausalLM, PreTrainedModel

from provenance.answers.prompts import PromptFormat

D_M = 96
PLANTED = (D_M + 3, D_M + 40, D_M + 77)
"""Neurons of the second layer that write "no"."""
OTHERS = (D_M + 5, D_M + 41, D_M + 80)
"""Neurons of the same layer that write nothing."""
TOLD = 8
"""Coordinates of the residual stream that tell y from n."""


def make_yielder(folder: Path) -> Path:
    """A tiny Llama that says y or n to everything; what the planted neurons write makes it say n.

    Coordinate 0 of the residual stream is a bias in favour of y and n. Coordinate 1 is written by the planted neurons
    alone, which are active everywhere (gate and up are one), and the output embedding reads it as n and not y. Items
    differ in the coordinates after it, which no neuron writes.
    """
    make_checkpoint(folder, seed=3, intermediate_size=D_M)
    model = AutoModelForCausalLM.from_pretrained(folder)
    yes, no = make_tokenizer().convert_tokens_to_ids(["y", "n"])
    layers = model.model.layers
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 2.0
        model.model.embed_tokens.weight[:, 1] = 0.0
        for layer in layers:
            layer.self_attn.o_proj.weight[:2] = 0.0
            layer.mlp.down_proj.weight[:TOLD] = 0.0
        layers[1].self_attn.o_proj.weight[:TOLD] = 0.0
        mlp = layers[1].mlp
        for neuron in PLANTED:
            mlp.up_proj.weight[neuron - D_M] = mlp.gate_proj.weight[neuron - D_M]
            mlp.down_proj.weight[:, neuron - D_M] = 0.0
            mlp.down_proj.weight[1, neuron - D_M] = 0.1
        model.lm_head.weight[:, 0] = -30.0
        model.lm_head.weight[:, 1] = 0.0
        model.lm_head.weight[[yes, no], 0] = 4.5
        model.lm_head.weight[no, 2:] = model.lm_head.weight[yes, 2:]
        model.lm_head.weight[no, 2:TOLD] += 0.1 * torch.randn(TOLD - 2)
        bias, written, favour = _shares(model, yes, no)
        model.lm_head.weight[no, 0] += (-1.5 * favour.std() - favour.mean()) / bias.mean()
        model.lm_head.weight[no, 1] = favour.std() / written.mean()
    model.save_pretrained(folder)
    return folder


def _shares(model: PreTrainedModel, yes: int, no: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of every item: coordinates 0 and 1 of the last state, and by how much the others favour n over y."""
    items = [json.loads(line) for line in context_lines(50)]
    texts = [f"{item['context']}\nQuestion: {item['question']}\nAnswer with yes or no." for item in items]
    prompt, tokenizer = PromptFormat("{question}", chat=True), make_tokenizer()
    ids = torch.tensor([prompt.render(tokenizer, text).ids for text in texts])
    states = model.model(input_ids=ids).last_hidden_state[:, -1]
    head = model.lm_head.weight
    return states[:, 0], states[:, 1], states[:, 2:] @ (head[no, 2:] - head[yes, 2:])


def contexts(path: Path, count: int = 50) -> Path:
    """Items whose context says no, where yes is right."""
    path.write_text("\n".join(context_lines(count)), "utf-8")
    return path


def context_lines(count: int) -> list[str]:
    """The same as lines: random letters, of one length."""
    letters = np.random.default_rng(0).choice(list("bdghjklmqtvwxz"), size=(count, 40))
    texts = ["".join(row) for row in letters]
    return [
        json.dumps({"id": f"i{n}", "question": text[:20], "context": text[20:], "answer": "yes", "context_says": "no"})
        for n, text in enumerate(texts)
    ]
