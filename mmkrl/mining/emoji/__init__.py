"""Relationships from composed emoji."""
