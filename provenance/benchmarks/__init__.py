"""Benchmarks of compliance: items that a model can yield to, and how its replies are read."""
