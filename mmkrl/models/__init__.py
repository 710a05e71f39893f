"""The models: what is computed from what, with the configuration beside it."""
