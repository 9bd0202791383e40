"""Neuron lists of others and of ours: formats read and written."""
