"""Activations of neurons: CETT, capture inside hooks, captured files, and scaling in the forward pass."""
