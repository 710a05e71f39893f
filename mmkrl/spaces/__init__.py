"""A trained space that can be asked."""
