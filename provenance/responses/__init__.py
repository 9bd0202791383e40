"""Responses that exist, in place of asking: a file of them read, checked, and placed in a model's prompt."""
