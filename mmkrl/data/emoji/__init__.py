"""Composed emoji as image-text relationships: grammar, names, openly licensed art, demo pack."""
