"""Whether the instruct probe reads the base model's answers, in every combination of neurons, answers and prompt."""
