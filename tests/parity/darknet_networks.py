"""LibreYOLO's Darknet networks with random weights, and detectors with the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from detkit import assembly
from detkit.config.compose import compose
from detkit.weights.source import read_source
from detkit.weights.transfer import transfer

CLASSES = assembly.Classes([f"class {i}" for i in range(80)], list(range(1, 81)))


def darknet_network(page: str) -> nn.Module:
    """The network of a bundled configuration, with random weights and statistics."""
    cfg = pytest.importorskip("libreyolo.models.darknet.cfg", reason="libreyolo is not installed")
    net = pytest.importorskip("libreyolo.models.darknet.net")
    torch.manual_seed(0)
    return with_random_statistics(net.DarknetNet(*cfg.load_bundled_cfg(page.replace("_", "-"))))


def with_random_statistics(network: nn.Module) -> nn.Module:
    """The network, in evaluation mode, with norms that change their input."""
    for module in network.modules():
        if hasattr(module, "running_var"):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


def detector_with_weights(page: str, network: nn.Module, folder: Path, *words: str) -> nn.Module:
    """The detector of a page, with the network's weights from a file of Darknet."""
    reader = pytest.importorskip("libreyolo.models.darknet.reader")
    path = folder / f"{page}.weights"
    path.write_bytes(reader.save_darknet_weights(network))
    source = read_source(str(path))
    model = compose("train", [f"model={page}", *words])["model"]
    detector = assembly.build_detector(model, CLASSES, fetch_weights=False)
    coverage = transfer(detector, source, CLASSES.names, {})
    assert coverage.is_complete
    assert not coverage.unused
    assert source.page == page
    return detector.eval()


def raw_outputs(detector: nn.Module, images: Tensor) -> list[Tensor]:
    """The maps (B, A * (5 + C), H, W) of each level, coarse to fine, with Darknet's channels."""
    features = detector.neck(detector.backbone(images))
    layers = detector.head.layers
    outputs = []
    for level in reversed(range(len(features))):
        level_map = layers.convs[level](features[level])
        parts = [
            output_layers[level](level_map).unflatten(1, (-1, values))
            for output_layers, values in (
                (layers.box_layers, 4),
                (layers.quality_layers, 1),
                (layers.class_layers, 80),
            )
        ]
        outputs.append(torch.cat(parts, dim=2).flatten(1, 2))
    return outputs
