"""Models that run: loaded from a checkpoint, or randomly initialised from its config."""
