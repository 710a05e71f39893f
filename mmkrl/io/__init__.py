"""Storage, retried requests and cached files: where bytes come from and go to."""
