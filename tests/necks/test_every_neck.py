"""What every neck keeps; the list grows with the registry."""

import pytest
import torch

from detkit import assembly, registry
from detkit.config.pages import filled
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(8, 8), FeatureSpec(12, 16), FeatureSpec(20, 32)]
# What a part needs besides its defaults.
NEEDED = {
    "sequence": {"necks": {name: filled("neck", {"name": name}) for name in ("se", "pan")}},
}
NECKS = registry.names("neck")


def build(name, specs=SPECS):
    torch.manual_seed(0)
    node = filled("neck", {"name": name, **NEEDED.get(name, {})})
    return assembly.build("neck", node, {"feature_specs": specs}, ("model", "neck"))


def maps(height=96, width=160, dtype=torch.float32):
    torch.manual_seed(0)
    return [
        torch.randn(2, s.channels, height // s.stride, width // s.stride).to(dtype) for s in SPECS
    ]


@pytest.mark.parametrize("name", NECKS)
def test_maps_are_what_the_specs_say(name):
    neck = build(name)
    found = neck(maps())
    assert len(found) == len(neck.feature_specs)
    for level, spec in zip(found, neck.feature_specs, strict=True):
        assert level.shape == (2, spec.channels, -(-96 // spec.stride), -(-160 // spec.stride))


@pytest.mark.parametrize("name", NECKS)
# pain 15
def test_each_parameter_gets_a_gradient(name):
    neck = build(name)
    found = neck([level.requires_grad_() for level in maps()])
    sum(level.sum() for level in found).backward()
    assert [n for n, p in neck.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", NECKS)
def test_batch_equals_single(name):
    neck = build(name).eval()
    single = neck([level[:1] for level in maps()])
    for level, alone in zip(neck(maps()), single, strict=True):
        torch.testing.assert_close(level[:1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NECKS)
def test_bfloat16(name):
    neck = build(name).to(torch.bfloat16)
    for level in neck(maps(64, 64, torch.bfloat16)):
        assert level.dtype == torch.bfloat16
        assert level.isfinite().all()


@pytest.mark.parametrize("name", NECKS)
def test_shapes_are_known_without_memory(name):
    with torch.device("meta"):
        neck = build(name)
        found = neck([level.to("meta") for level in maps()])
    assert [level.shape[1] for level in found] == [spec.channels for spec in neck.feature_specs]
