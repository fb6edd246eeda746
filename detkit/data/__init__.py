"""From a data set on disk to batches."""

from detkit.data.index import Annotation, IndexBuilder

__all__ = ["Annotation", "IndexBuilder"]
