"""Exact scores, counts and nearest neighbours over all candidates."""
