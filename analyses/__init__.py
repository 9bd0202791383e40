"""Analyses of one pair: lineage, mapping, transfer, drift, overlap, activity, and their nulls."""
