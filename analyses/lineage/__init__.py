"""Whether one checkpoint descends from the other, and which neuron of the base is which."""
