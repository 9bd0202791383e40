"""The neuron database: what a comparison found, as rows that can be queried, each leading back to its run."""
