"""DETR written from the paper, with the tensor names of the published files, to compare with.

The authors' file `detr-r50-e632da11.pth` names tensors as `Reference` does;
`facebook/detr-resnet-50` of transformers has the names of `transformers_names`.
"""

import re

import torch
import torchvision
from torch import nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FrozenBatchNorm2d


class Block(nn.Module):
    """The layers of an encoder or a decoder layer."""

    def __init__(self, width, heads, hidden, *, is_decoder):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads)
        if is_decoder:
            self.multihead_attn = nn.MultiheadAttention(width, heads)
            self.norm3 = nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def feed_forward(self, x):
        return self.linear2(self.linear1(x).relu())

    def encode(self, x, positions):
        attended, _ = self.self_attn(x + positions, x + positions, x)
        x = self.norm1(x + attended)
        return self.norm2(x + self.feed_forward(x))

    def decode(self, x, queries, memory, positions):
        attended, _ = self.self_attn(x + queries, x + queries, x)
        x = self.norm1(x + attended)
        attended, _ = self.multihead_attn(x + queries, memory + positions, memory)
        x = self.norm2(x + attended)
        return self.norm3(x + self.feed_forward(x))


class Reference(nn.Module):
    """DETR for images without padding."""

    def __init__(self, backbone, *, width, heads, hidden, layers, queries, classes):
        super().__init__()
        network = getattr(torchvision.models, backbone)(norm_layer=FrozenBatchNorm2d)
        channels = network.fc.in_features
        body = nn.Module()
        body.body = IntermediateLayerGetter(network, {"layer4": "0"})
        self.backbone = nn.ModuleList([body])
        self.input_proj = nn.Conv2d(channels, width, 1)
        self.query_embed = nn.Embedding(queries, width)
        self.class_embed = nn.Linear(width, classes + 1)
        self.bbox_embed = nn.Module()
        self.bbox_embed.layers = nn.ModuleList(
            [nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 4)]
        )
        self.transformer = nn.Module()
        encoders, decoders = layers
        for name, count in (("encoder", encoders), ("decoder", decoders)):
            part = nn.Module()
            part.layers = nn.ModuleList(
                Block(width, heads, hidden, is_decoder=name == "decoder") for _ in range(count)
            )
            self.transformer.add_module(name, part)
        self.transformer.decoder.norm = nn.LayerNorm(width)

    def forward(self, images):
        """Normalised images (B, 3, H, W) to logits (B, Q, C + 1) and boxes (B, Q, 4)."""
        features = self.input_proj(self.backbone[0].body(images)["0"])
        positions = sine_positions(*features.shape[1:]).flatten(1).T[:, None]
        x = features.flatten(2).permute(2, 0, 1)
        for layer in self.transformer.encoder.layers:
            x = layer.encode(x, positions)
        queries = self.query_embed.weight[:, None].repeat(1, len(images), 1)
        y = torch.zeros_like(queries)
        for layer in self.transformer.decoder.layers:
            y = layer.decode(y, queries, x, positions)
        y = self.transformer.decoder.norm(y).transpose(0, 1)
        boxes = y
        for number, layer in enumerate(self.bbox_embed.layers):
            boxes = layer(boxes.relu() if number else boxes)
        return self.class_embed(y), boxes.sigmoid()


def sine_positions(width, rows, columns):
    """(width, H, W): sines and cosines of the row, then of the column, both over 0 to 2 pi."""
    half = width // 2
    period = 10000 ** (torch.arange(half) // 2 * 2 / half)
    maps = []
    for count, axis in ((rows, 1), (columns, 2)):
        angles = torch.arange(1, count + 1) / (count + 1e-6) * 2 * torch.pi / period[:, None]
        values = torch.where(torch.arange(half)[:, None] % 2 == 0, angles.sin(), angles.cos())
        shape = [half, 1, 1]
        shape[axis] = count
        maps.append(values.view(shape).expand(half, rows, columns))
    return torch.cat(maps)


def random_reference(**settings):
    """A reference with random weights, also in its norms."""
    torch.manual_seed(0)
    reference = Reference(**settings).eval()
    with torch.no_grad():
        for name, value in reference.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif value.dim() == 1:
                value.add_(0.1 * torch.randn_like(value))
    return reference


def transformers_names(tensors):
    """The same tensors as the file of transformers names them: joint projections become three."""
    renamed = {}
    for name, value in tensors.items():
        if "in_proj_" in name:
            start, kind = name.split("in_proj_")
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                renamed[_transformers_name(f"{start}{letter}_proj.{kind}")] = part.clone()
        else:
            renamed[_transformers_name(name)] = value
    return renamed


def _transformers_name(name):
    is_decoder = ".decoder." in name
    norms = ["self_attn_layer_norm", "final_layer_norm"]
    if is_decoder:
        norms.insert(1, "encoder_attn_layer_norm")
    name = re.sub(r"(layers\.\d+)\.norm(\d)", lambda m: f"{m[1]}.{norms[int(m[2]) - 1]}", name)
    for ours, theirs in (
        ("backbone.0.body.", "model.backbone.conv_encoder.model."),
        ("input_proj.", "model.input_projection."),
        ("query_embed.", "model.query_position_embeddings."),
        ("class_embed.", "class_labels_classifier."),
        ("bbox_embed.", "bbox_predictor."),
        ("transformer.decoder.norm.", "model.decoder.layernorm."),
        ("transformer.", "model."),
        ("multihead_attn.", "encoder_attn."),
        (".linear", ".fc"),
    ):
        name = name.replace(ours, theirs)
    return name
