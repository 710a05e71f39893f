"""What models learn from, loaded from published datasets."""
