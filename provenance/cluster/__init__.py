"""Many machines: models that answer and read in worker processes, which Ray starts."""
