"""Control neurons and control probes that every statistic is compared with."""
