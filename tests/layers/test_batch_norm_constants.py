from torch import nn

from detkit.layers import ConvBlock, set_batch_norms


def test_all_batch_norms_get_the_constants_and_other_norms_keep_theirs():
    norms = ("batch", "cmbn", "frozen_batch", "group")
    blocks = nn.ModuleList(ConvBlock(4, 8, norm=norm) for norm in norms)
    set_batch_norms(blocks, eps=0.001, momentum=0.03)
    assert [block.norm.eps for block in blocks] == [0.001, 0.001, 0.001, 1e-5]
    assert [block.norm.momentum for block in blocks[:2]] == [0.03, 0.03]
