"""Drawing the pictures of the built-in data set."""
