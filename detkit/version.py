"""detkit's version; its own module, so that internal modules need not import the public API."""

__version__ = "0.1.0"
