"""BC-DNN: relationships as texts and images in one space."""
