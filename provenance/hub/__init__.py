"""The Hugging Face hub: file listings, downloads, byte ranges, and checkpoints read over the network."""
