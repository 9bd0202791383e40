"""Verdicts: their conditions, the power of each test, and one sentence over all."""
