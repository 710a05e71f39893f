"""The learned space as something one can ask."""
