"""What the parts of a split are called."""

TRAIN, VALIDATION, TEST, UNSEEN_SOURCE = "train", "validation", "test", "unseen_source"
