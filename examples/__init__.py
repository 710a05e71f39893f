"""Programs beside the library."""
