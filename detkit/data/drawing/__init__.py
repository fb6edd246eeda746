"""How the pictures of the embedded data set are drawn."""
