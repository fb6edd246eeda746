"""Separate the reservations of pretended GPUs from other tests'."""

import pytest

from detkit.sweeps.jobs import device_pool


@pytest.fixture(autouse=True)
def _own_reservations(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("gpus")
    monkeypatch.setattr(device_pool, "shared_folder", lambda: folder)
