"""Both checkpoints opened and asked: answers, captured vectors, and each model reading the other's answers."""
