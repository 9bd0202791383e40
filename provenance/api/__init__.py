"""The Python interface: `provenance.compare`, `provenance.open`, and the runs of a database as values."""
