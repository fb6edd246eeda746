import pytest

from detkit import registry


@pytest.fixture(autouse=True)
def own_registry():
    """Remove a test's parts from the registry after the test."""
    plugins = [registry._loaded_plugins, registry.plugin_failures]
    before, parts = [dict(known) for known in plugins], set(registry._parts)
    yield
    added = {key for key, part in registry._parts.items() if part.origin != "detkit"} - parts
    for key in added:
        del registry._parts[key]
    for known, earlier in zip(plugins, before, strict=True):
        known.clear()
        known.update(earlier)
