"""The search for H-Neurons: choice of C, fit, stability, and the same search with shuffled labels."""
