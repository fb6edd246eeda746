"""From a data set on disk to batches. `detkit.data(config)` opens the data of a configuration.

The package itself can be called: Python makes it an attribute of `detkit` once it is imported, so a
function of that name would disappear.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from detkit.data.index import Annotation, IndexBuilder
from detkit.public_names import import_name

__all__ = ["Annotation", "IndexBuilder"]


class _CallablePackage(ModuleType):
    def __call__(self, config: Mapping[str, Any]) -> Any:
        """Open a configuration's loaders: see `detkit.api.training.load_data`."""
        return import_name("load_data")(config)


sys.modules[__name__].__class__ = _CallablePackage
