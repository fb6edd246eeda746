import pytest

from detkit import registry
from detkit.config.checks.schema import check
from detkit.config.signatures import arguments, convert
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(8, 8), FeatureSpec(8, 16), FeatureSpec(8, 32)]
WIRING = {"feature_specs": SPECS, "num_classes": 3, "class_names": ["a", "b", "c"]}


def build(family, node):
    """What assembly does for a checked node, without the data."""
    factory = registry.get(family, node["name"])
    values = {}
    for argument in arguments(factory).values():
        if argument.wired:
            values[argument.name] = WIRING[argument.name]
        elif argument.slot is None:
            values[argument.name] = convert(argument.annotation, node[argument.name])
        elif node[argument.name] is None:
            values[argument.name] = None
        else:
            values[argument.name] = build(argument.slot.family, node[argument.name])
    return factory(**values)


@pytest.fixture
def build_head():
    """A small head by name, with parts and values as YAML would give them."""

    def make(name, **values):
        factory = registry.get("head", name)
        small = {"convs": 1} if "convs" in arguments(factory) else {}
        return build("head", {"name": name, **check(factory, {**small, **values})})

    return make
