"""Reports of an evaluation: summaries, tables, comparisons."""
