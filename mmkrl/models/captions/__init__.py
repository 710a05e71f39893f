"""Dual encoders of images and captions, and MTLS."""
