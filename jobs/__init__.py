"""The commands: one thin file per verb, each ``python -m jobs.VERB --config FILE.yaml``."""
