"""Which rows a training step sees: epochs, relationships, corrupted triples."""
