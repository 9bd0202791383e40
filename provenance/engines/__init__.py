"""Models that answer outside of transformers: at servers, or in vLLM. Workers of a cluster have a room of their own."""
