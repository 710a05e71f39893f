"""Where it runs: every use of Ray in the project is in this package."""
