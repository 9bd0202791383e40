"""Tables of the neuron database, by subject; `tables` has all of them."""
