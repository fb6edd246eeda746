"""Exporters and engines that need no package."""

from dataclasses import replace

import torch
from torch import nn

from detkit.contracts.exporters import tiny_graph as graph
from detkit.export.graph import dynamic_axes
from detkit.postprocess import NMS
from detkit.structures import ExportGraph, WrittenExport

__all__ = ["Engine", "Exporter", "detections", "graph"]


class Engine:
    """Runs the graph's own module."""

    def __init__(self, graph: ExportGraph) -> None:
        self.graph = graph
        axes = dynamic_axes(graph)
        lengths = enumerate(graph.example.shape)
        self.input_shape = tuple(None if axis in axes else length for axis, length in lengths)

    def __call__(self, images):
        with torch.no_grad():
            return [output.numpy() for output in self.graph.module(torch.from_numpy(images))]


class Exporter:
    """Writes an empty file and runs the module itself."""

    suffix, engine, precisions = ".txt", "nothing", ("fp32",)

    def __init__(self, engine) -> None:
        self.runner = engine

    def require(self):
        """Needs nothing."""

    def write(self, graph, path):
        path.write_bytes(bytes(1000))
        return WrittenExport()

    def open(self, path, threads):
        return self.runner


class Detections(nn.Module):
    """The tiny network with NMS; a high `frequency` lets rounding decide the scores."""

    def __init__(self, frequency):
        super().__init__()
        self.detector = graph().module.detector
        self.frequency = frequency
        self.postprocess = NMS(max_detections=30)

    def forward(self, images):
        boxes, scores = self.detector.raw_detections(images)
        best, labels = ((scores.logit() * self.frequency).sin() / 2 + 0.5).max(dim=2)
        shift = torch.arange(boxes.shape[1])[:, None] % 12 * 2.0
        boxes = torch.cat([boxes[..., :2] + shift, boxes[..., :2] + shift + 9], dim=2)
        return tuple(self.postprocess(boxes, best, labels))


def detections(frequency=1.0):
    """The tiny graph with NMS."""
    return replace(graph(nms=True), module=Detections(frequency).eval().requires_grad_(False))
