"""Ordered checkpoints, each seen with the probe of the last one."""
