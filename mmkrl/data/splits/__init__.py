"""Zero-shot splits of relationships."""
