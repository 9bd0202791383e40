"""Neuron lists as files: formats read and written."""
