"""Runs, verdicts, conditions and power in words."""
