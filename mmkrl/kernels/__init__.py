"""Loops compiled for CPUs, over NumPy arrays alone: nothing here knows of models or data."""
