"""Results as JSON: the contract of `--json`."""
