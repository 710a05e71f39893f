"""Speed, measured: each module prints one JSON line a case, ours beside peer and limit."""
