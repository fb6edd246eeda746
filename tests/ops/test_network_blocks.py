"""Blocks of networks by depth."""

from torch import nn

from detkit.ops.network_blocks import inner_blocks, split_stage


def conv_and_norm():
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1, bias=False)
        self.second = nn.Conv2d(3, 3, 1, bias=False)


def test_single_layers_belong_to_the_block_after_them():
    stage = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), Block(), nn.ReLU(), Block())
    blocks = [block.parameters for block in split_stage("stage1", [("a", stage)])]
    assert blocks == [
        ("a.0.weight", "a.1.first.weight", "a.1.second.weight"),
        ("a.3.first.weight", "a.3.second.weight"),
    ]


def test_single_layers_at_the_end_belong_to_the_last_block():
    layers = [("a", nn.Sequential(Block())), ("b", nn.Conv2d(3, 3, 1, bias=False))]
    (block,) = split_stage("stage1", layers)
    assert block.parameters == ("a.0.first.weight", "a.0.second.weight", "b.weight")


def test_the_stem_and_a_stage_of_single_layers_are_one_block():
    assert len(split_stage("stem", [("a", nn.Sequential(Block(), Block()))])) == 1
    assert len(split_stage("stage1", [("a", conv_and_norm())])) == 1


def test_a_stage_without_parameters_has_no_block():
    assert split_stage("stem", [("a", nn.MaxPool2d(2))]) == []


def test_a_network_that_lists_no_blocks_has_none():
    assert inner_blocks(conv_and_norm(), "backbone") == []
