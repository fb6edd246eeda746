"""Initial values of a gate, in a separate module as in larger plugins."""

FIRST_VALUE = 1.0
