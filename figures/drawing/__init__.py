"""The style of all figures, panels that several share, and what a figure of the gallery is."""
