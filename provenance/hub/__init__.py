"""The Hugging Face hub: what it lists, downloads and byte ranges, and checkpoints read straight from it."""
