"""Search spaces for sweeps over the training configuration."""
