"""Tensors of a checkpoint, read in blocks: from its shards, or from a base with a LoRA adapter merged in."""
