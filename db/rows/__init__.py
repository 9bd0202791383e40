"""Results as rows: plain functions from result dataclasses to dictionaries."""
