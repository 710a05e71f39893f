"""Readers of foreign formats: what a crawl left on disk, as records."""
