"""What a gate is before it is trained; in a module of its own, as larger plugins have them."""

FIRST_VALUE = 1.0
