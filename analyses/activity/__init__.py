"""Activity of single neurons: by label of the answer, and token for token in both models."""
