"""Formats that `detkit predict` writes, one module each; see `Writer` in detkit.structures."""
