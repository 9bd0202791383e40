"""The sparse probe, and the exact solution of its L1 path."""
