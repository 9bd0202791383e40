"""Weights of two checkpoints compared, tensor by tensor and neuron by neuron."""
