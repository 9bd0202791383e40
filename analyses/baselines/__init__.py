"""Predictors that the probe has to beat on the same answers."""
