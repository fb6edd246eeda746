"""SPP, SPPF, YOLOv3's neck, CSP-PAN, and necks in a row."""

import pytest
import torch

from detkit import assembly
from detkit.config.compose import compose
from detkit.config.pages import filled
from detkit.errors import ConfigError, UserError
from detkit.necks.attention import PartialSelfAttention
from detkit.necks.csp_pan import CSPPAN
from detkit.necks.sequence import Sequence
from detkit.necks.spp import SPP, SPPF
from detkit.necks.yolov3 import YOLOv3Neck
from detkit.structures import FeatureSpec

SPECS = [FeatureSpec(4, 8), FeatureSpec(8, 16), FeatureSpec(16, 32)]


def maps(height=96, width=64):
    torch.manual_seed(0)
    sizes = [(-(-height // s.stride), -(-width // s.stride)) for s in SPECS]
    return [torch.randn(2, s.channels, *size) for s, size in zip(SPECS, sizes, strict=True)]


@pytest.mark.parametrize("neck", [SPP, SPPF, PartialSelfAttention])
def test_pooling_and_attention_change_the_coarsest_level_only(neck):
    features = maps()
    made = neck(feature_specs=SPECS)
    found = made(features)
    assert made.feature_specs == SPECS
    assert found[0] is features[0]
    assert found[1] is features[1]
    assert found[2].shape == features[2].shape


@pytest.mark.parametrize(
    ("neck", "argument", "value"), [(SPP, "kernel_sizes", (5, 8)), (SPPF, "kernel_size", 8)]
)
def test_even_pools_are_refused(neck, argument, value):
    message = f"{argument} 8 is even, but only an odd pool has a centre: use 7 or 9"
    with pytest.raises(UserError, match=message):
        neck(feature_specs=SPECS, **{argument: value})


def test_yolov3_halves_channels():
    neck = YOLOv3Neck(feature_specs=SPECS)
    assert neck.feature_specs == [FeatureSpec(2, 8), FeatureSpec(4, 16), FeatureSpec(8, 32)]
    shapes = [level.shape for level in neck(maps())]
    assert shapes == [(2, 2, 12, 8), (2, 4, 6, 4), (2, 8, 3, 2)]


@pytest.mark.parametrize(
    ("width", "channels"), [(1.0, [4, 8, 16]), (0.5, [2, 4, 8]), ((0.5, 1.0, 1.0), [2, 8, 16])]
)
def test_csp_pan_keeps_channels_times_width(width, channels):
    neck = CSPPAN(feature_specs=SPECS, blocks=1, width=width)
    assert [spec.channels for spec in neck.feature_specs] == channels
    assert [level.shape[1] for level in neck(maps())] == channels


def test_csp_pan_refuses_a_width_for_another_number_of_levels():
    message = "`width` has 2 values, but the input has 3 levels"
    with pytest.raises(UserError, match=message):
        CSPPAN(feature_specs=SPECS, width=(0.5, 1.0))


def test_the_coarsest_fusion_of_csp_pan_can_have_other_blocks():
    neck = CSPPAN(feature_specs=SPECS, blocks=1, stage="c3k2", coarsest_stage="c3k2_nested")
    kinds = [type(stage.blocks[0]).__name__ for stage in (*neck.upward, *neck.downward)]
    assert kinds == ["Residual", "Residual", "Residual", "CSPStage"]


def reached(neck, source):
    """The output maps that depend on one input map."""
    features = [level.requires_grad_() for level in maps()]
    found = neck.eval()(features)
    gradients = [
        torch.autograd.grad(level.sum(), features[source], allow_unused=True, retain_graph=True)[0]
        for level in found
    ]
    return [gradient is not None and bool(gradient.any()) for gradient in gradients]


def test_yolov3_sends_from_coarse_to_fine_only():
    neck = YOLOv3Neck(feature_specs=SPECS)
    assert reached(neck, 2) == [True, True, True]
    assert reached(neck, 0) == [True, False, False]


def test_csp_pan_sends_both_ways():
    neck = CSPPAN(feature_specs=SPECS, blocks=1)
    assert reached(neck, 2) == [True, True, True]
    assert reached(neck, 0) == [True, True, True]


@pytest.mark.parametrize("neck", [YOLOv3Neck, CSPPAN])
def test_maps_of_odd_sizes_fit(neck):
    features = maps(72, 40)  # 9 x 5, 5 x 3, 3 x 2
    sizes = [level.shape[2:] for level in neck(feature_specs=SPECS)(features)]
    assert sizes == [(9, 5), (5, 3), (3, 2)]


def test_csp_pan_of_one_level_is_refused():
    with pytest.raises(UserError, match=r"only one \(stride 32\): list more in model.backbone"):
        CSPPAN(feature_specs=SPECS[2:])


def sequence(**necks):
    node = filled("neck", {"name": "sequence", "necks": necks})
    return assembly.build("neck", node, {"feature_specs": SPECS}, ("model", "neck"))


def test_each_neck_of_a_row_is_built_on_the_one_before():
    neck = sequence(
        spp=filled("neck", "spp"), pyramid=filled("neck", {"name": "fpn", "out_channels": 8})
    )
    assert [spec.stride for spec in neck.feature_specs] == [8, 16, 32, 64, 128]
    assert list(neck.necks) == ["spp", "pyramid"]
    expected = neck.eval().necks["pyramid"](neck.necks["spp"](maps()))
    assert len(expected) == 5
    for level, other in zip(neck(maps()), expected, strict=True):
        assert torch.equal(level, other)


def test_no_neck_at_all_passes_maps_on():
    features = maps()
    neck = Sequence(feature_specs=SPECS, necks={})
    assert neck.feature_specs == SPECS
    assert neck(features) == features


def test_a_fault_inside_names_the_label():
    with pytest.raises(ConfigError, match=r"model\.neck\.necks\.spp: neck 'spp': kernel_sizes 4"):
        sequence(spp=filled("neck", {"name": "spp", "kernel_sizes": [4]}))


def necks_of(*words):
    return compose("train", ["model=yolov5", *words])["model"]["neck"]["necks"]


def test_a_member_is_tuned_swapped_or_left_out_by_its_label():
    assert necks_of("model.neck.necks.pan.blocks=1")["pan"]["blocks"] == 1
    swapped = necks_of("model.neck.necks.pan=fpn")
    assert list(swapped) == ["spp", "pan"]
    assert swapped["pan"] == filled("neck", "fpn")
    assert list(necks_of("model.neck.necks.spp=null")) == ["pan"]


def test_a_wrong_key_of_a_member_is_named_with_its_path():
    with pytest.raises(ConfigError, match=r"model\.neck\.necks\.pan\.blcks: unknown key.*'blocks'"):
        necks_of("model.neck.necks.pan.blcks=1")
