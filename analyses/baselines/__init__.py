"""Baseline predictors, compared with the probe on the same answers."""
