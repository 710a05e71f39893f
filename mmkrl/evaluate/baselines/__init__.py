"""Methods that learn little or nothing, to be compared with."""
