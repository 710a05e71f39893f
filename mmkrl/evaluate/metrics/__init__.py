"""Ranks, ties, recognition, relevance and bootstrap intervals over arrays."""
