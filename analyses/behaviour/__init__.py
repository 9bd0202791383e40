"""What scaling neurons does to a model's answers, and the verdict on their function."""
