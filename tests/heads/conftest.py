import pytest
from head_pages import is_dense, small_values

from detkit import assembly, registry
from detkit.config.checks.schema import check
from detkit.config.part_pages import part_node
from detkit.structures import ClassCounts, FeatureSpec

SPECS = [FeatureSpec(8, 8), FeatureSpec(8, 16), FeatureSpec(8, 32)]
STACKS = [FeatureSpec(8, 4)] * 2
WIRING = {
    "feature_specs": SPECS,
    "num_classes": 3,
    "class_names": ["a", "b", "c"],
    "class_counts": ClassCounts(
        images=1000, images_with_class=[1, 500, 600], objects=[1, 700, 800]
    ),
}


@pytest.fixture
def build_head():
    """A small head by the name of its page, with parts and values as YAML would give them."""

    def make(name, layers=(), feature_specs=None, **values):
        is_other = "name" in dict(layers)
        small = small_values(name)
        if is_dense(name):
            small["layers"] = dict(layers) if is_other else {**small["layers"], **dict(layers)}
        node = part_node("head", {"name": name, **small, **values})
        part = node.pop("name")
        complete = {"name": part, **check(registry.get("head", part), node)}
        specs = feature_specs or (STACKS if name == "cornernet" else SPECS)
        wiring = {**WIRING, "feature_specs": specs}
        return assembly.build("head", complete, wiring, ("model", "head"))

    return make
