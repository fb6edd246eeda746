"""A ResNet of MMDetection or Detectron2 can be read in the other style."""

from pathlib import Path

import pytest
import torch

from detkit.errors import UserError
from detkit.weights.resnet_style import STEM, in_style
from detkit.weights.weight_source import WeightSource

WEIGHT = torch.arange(6.0).view(2, 3, 1, 1)
SOURCE = WeightSource(Path("a.pth"), "RetinaNet", {STEM: WEIGHT}, is_caffe=False)


def test_the_style_of_caffe_swaps_red_and_blue_and_sets_the_strides():
    source = in_style(SOURCE, is_caffe=True)
    assert source.tensors[STEM].flatten().tolist() == [2, 1, 0, 5, 4, 3]
    assert "model.backbone.stride_in_1x1=true" in source.overrides
    assert "model.pixel_std=[1,1,1]" in source.overrides
    back = in_style(source, is_caffe=False)
    assert back.tensors[STEM].equal(WEIGHT)
    assert back.overrides[-1] == "model.pixel_std=[58.395,57.12,57.375]"


def test_no_style_fits_a_file_without_a_resnet():
    with pytest.raises(UserError, match="has no ResNet of MMDetection or Detectron2"):
        in_style(WeightSource(Path("a.pth"), "YOLOX", {}), is_caffe=True)
