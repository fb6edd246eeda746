"""The real FiftyOne, whose MongoDB is played by mongomock."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


@pytest.fixture
def fiftyone(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real package, whose MongoDB is played by mongomock."""
    pytest.importorskip("fiftyone", reason='pip install "detkit[fiftyone]"')
    mongomock = pytest.importorskip("mongomock", reason="pip install mongomock")
    mongoengine = importlib.import_module("mongoengine")
    database = importlib.import_module("fiftyone.core.odm.database")
    client = mongomock.MongoClient()
    vars(client)["_closed"] = False
    monkeypatch.setitem(os.environ, "FIFTYONE_DISABLE_SERVICES", "1")
    monkeypatch.setattr(database, "_client", client)
    mongoengine.disconnect_all()
    mongoengine.connect("fiftyone", mongo_client_class=lambda *_, **__: client)
    return importlib.import_module("fiftyone")
