"""Tests of the instruct probe on the base model's answers, for every combination of neurons, answers and prompt."""
