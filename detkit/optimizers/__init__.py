"""Optimizers, and the parameter groups they share."""
