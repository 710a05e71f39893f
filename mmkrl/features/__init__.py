"""From the bytes of pictures to feature vectors: backbones and a pure extraction function."""
