"""The neuron database: results of comparisons as rows that can be queried, each leading back to its run."""
