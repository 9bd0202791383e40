"""One module per figure, with its caption and its table."""
