"""Effects of scaled neurons on a model's answers, and the verdict on their function."""
