"""How far each neuron's weights moved, and tests of H-Neurons against matched neurons."""
