"""A network layer by layer: sizes, parameters, operations, receptive fields."""
