"""Image encoders, decoding, and extraction as a function of bytes."""
