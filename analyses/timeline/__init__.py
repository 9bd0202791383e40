"""Ordered checkpoints, each measured with the probe of the last one."""
