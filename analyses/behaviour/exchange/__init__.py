"""Activations of the other model put in place of a model's own, and what that changes."""
