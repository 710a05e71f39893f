"""Readers of knowledge graphs: public layouts and mined relationships, checked while read."""
