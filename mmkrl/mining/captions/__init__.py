"""Relationships from captions: parsed, counted, checked against the images, split."""
