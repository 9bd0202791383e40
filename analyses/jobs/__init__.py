"""Whole jobs, from two references to one report: comparison, weights alone, and negative controls."""
