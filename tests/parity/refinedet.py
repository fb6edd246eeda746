"""The network of RefineDet written anew from the numbers of the paper and its public code."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

ANCHORS = 3
LEVELS = (512, 512, 1024, 512)
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def conv(channels, outputs, side=3, **values):
    return nn.Conv2d(channels, outputs, side, padding=values.pop("padding", side // 2), **values)


class RefineDet(nn.Module):
    """Four levels with three anchors in each cell; both steps predict logits and codes."""

    def __init__(self, classes):
        super().__init__()
        channels = [3, *(width for width, depth in BLOCKS for _ in range(depth))]
        self.vgg = nn.ModuleList(conv(*widths) for widths in pairwise(channels))
        self.lengths = nn.ParameterList(torch.full((512,), value) for value in (10.0, 8.0))
        self.fc6, self.fc7 = conv(512, 1024, padding=3, dilation=3), conv(1024, 1024, 1)
        self.extra = nn.ModuleList([conv(1024, 256, 1), conv(256, 512, stride=2)])
        self.arm_logits = nn.ModuleList(conv(width, ANCHORS * 2) for width in LEVELS)
        self.arm_codes = nn.ModuleList(conv(width, ANCHORS * 4) for width in LEVELS)
        self.tcb_in = nn.ModuleList(conv(width, 256) for width in LEVELS)
        self.tcb_middle = nn.ModuleList(conv(256, 256) for _ in LEVELS)
        self.tcb_up = nn.ModuleList(nn.ConvTranspose2d(256, 256, 2, 2) for _ in LEVELS[1:])
        self.tcb_out = nn.ModuleList(conv(256, 256) for _ in LEVELS)
        self.odm_logits = nn.ModuleList(conv(256, ANCHORS * (classes + 1)) for _ in LEVELS)
        self.odm_codes = nn.ModuleList(conv(256, ANCHORS * 4) for _ in LEVELS)

    def forward(self, images):
        """Logits and codes of both steps, (B, P, ...)."""
        levels = self.levels(images)
        fused = [
            middle(entry(level).relu())
            for entry, middle, level in zip(self.tcb_in, self.tcb_middle, levels, strict=True)
        ]
        outputs = [self.tcb_out[3](fused[3].relu()).relu()]
        for level in (2, 1, 0):
            total = (fused[level] + self.tcb_up[level](outputs[0])).relu()
            outputs.insert(0, self.tcb_out[level](total).relu())
        return (
            rows(self.arm_logits, levels, 2),
            rows(self.arm_codes, levels, 4),
            rows(self.odm_logits, outputs, self.odm_logits[0].out_channels // ANCHORS),
            rows(self.odm_codes, outputs, 4),
        )

    def levels(self, images):
        maps, layers = images, iter(self.vgg)
        blocks = []
        for block, (_, depth) in enumerate(BLOCKS):
            maps = F.max_pool2d(maps, 2, ceil_mode=block == 3) if block else maps
            for _ in range(depth):
                maps = next(layers)(maps).relu()
            blocks.append(maps)
        unit = [level / level.norm(dim=1, keepdim=True) for level in blocks[3:]]
        scaled = [w[:, None, None] * level for w, level in zip(self.lengths, unit, strict=True)]
        fc7 = self.fc7(self.fc6(F.max_pool2d(maps, 2)).relu()).relu()
        return [*scaled, fc7, self.extra[1](self.extra[0](fc7).relu()).relu()]


def rows(layers, levels, width):
    maps = [layer(level) for layer, level in zip(layers, levels, strict=True)]
    flat = [level.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, width)) for level in maps]
    return torch.cat(flat, dim=1)
