"""One figure a module, with the words of its caption and its table."""
