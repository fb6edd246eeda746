"""What is refused before an export starts."""

from types import SimpleNamespace

import pytest
from export_graphs import graph
from torch import nn

from detkit.errors import ConfigError, UserError
from detkit.export.graph import example_images, largest_stride, mask_size, only_size, trace
from detkit.export.packages import require_packages
from detkit.export.problems import refuse_problems
from detkit.structures import FeatureSpec


class Postprocess:
    export_problem = "no graph holds it: choose nms."


class Pooling(nn.Identity):
    export_problem = "ONNX has no such pooling: choose roi_align."


def detector():
    network = nn.Module()
    network.head = nn.Module()
    network.head.postprocess = Postprocess()
    network.pooling = Pooling()
    network.detect = network.raw_detections = lambda images: images
    return network


def test_all_parts_are_named_with_their_config_path_and_the_alternative():
    with pytest.raises(ConfigError) as caught:
        refuse_problems(detector(), nms=True)
    assert sorted(caught.value.problems) == [
        "model.head.postprocess: no graph holds it: choose nms, or nms=false.",
        "model.pooling: ONNX has no such pooling: choose roi_align.",
    ]


def test_a_graph_without_post_processing_takes_any():
    with pytest.raises(ConfigError) as caught:
        refuse_problems(detector(), nms=False)
    assert len(caught.value.problems) == 1


def test_masks_need_post_processing_in_the_graph():
    network = nn.Module()
    network.roi_head = nn.Module()
    network.roi_head.mask_head = nn.Identity()
    network.roi_head.mask_head.side = 28
    network.detect = network.raw_detections = lambda images: images
    assert mask_size(network) == 28
    refuse_problems(network, nms=True)
    message = r"mask_head: masks are .*use nms=true, or model\.roi_head\.mask_head=null"
    with pytest.raises(ConfigError, match=message):
        refuse_problems(network, nms=False)


def test_a_detector_without_the_verb_for_graphs_is_refused():
    with pytest.raises(ConfigError, match=r"\(Identity\) has no method `detect\(images\)`"):
        refuse_problems(nn.Identity(), nms=True)


def test_a_missing_package_names_the_extra():
    require_packages("onnx", ["json"], "export")
    message = r"needs nowhere, which is not installed: run pip install 'detkit\[export\]'"
    with pytest.raises(UserError, match=message):
        require_packages("onnx", ["json", "nowhere"], "export")


class FixedBatch(nn.Module):
    def raw_detections(self, images):
        return images.flatten(2)[..., :4], images.new_zeros(len(images) * 2)


def test_an_axis_that_the_code_fixes_is_an_error():
    network = graph()
    network.module.detector = FixedBatch()
    with pytest.raises(UserError, match=r"torch.export cannot trace .*batch=1 or size=640"):
        trace(network)


@pytest.mark.parametrize(
    ("size", "stride", "expected"),
    [((640, 640), 32, (640, 672)), ((96, 96), 128, (384, 416)), ((320, 416), 32, (320, 416))],
)
def test_example_images_are_large_and_not_square(size, stride, expected):
    images = example_images(size, None, is_dynamic=True, step=32, stride=stride)
    assert images.shape == (2, 3, *expected)
    fixed = example_images((96, 96), 1, is_dynamic=False, step=32, stride=stride)
    assert fixed.shape == (1, 3, 96, 96)


def test_the_largest_stride_is_that_of_any_level():
    network = nn.Sequential(nn.Identity(), nn.Identity())
    network[1].feature_specs = [FeatureSpec(8, 8), FeatureSpec(8, 64)]
    assert largest_stride(network) == 64
    assert largest_stride(nn.Identity()) == 1


def test_priors_of_one_size_fix_the_size_of_a_graph():
    head = nn.Module()
    head.priors = SimpleNamespace(fixed_size=(300, 300))
    assert only_size(nn.ModuleList([nn.ReLU(), head])) == (300, 300)
    assert only_size(nn.ModuleList([nn.ReLU()])) is None
