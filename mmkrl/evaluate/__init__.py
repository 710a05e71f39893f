"""Evaluation: exact ranking metrics, recognition, bootstrap intervals and their rendering.

It measures embeddings that already exist. It does not encode, choose splits, or decide which
model is better: it gives numbers, the definition behind each of them, and their uncertainty.
"""
