"""The number of times that each training image appears in an epoch."""
