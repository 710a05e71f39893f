"""Plots and pages for people: loss curves and picture galleries."""
