"""Checkpoints as values: their names, their folders, the headers of their files, and known families."""
