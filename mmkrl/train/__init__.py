"""The one training loop, the seam to where it runs, and checkpoints."""
