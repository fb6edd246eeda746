"""Exporters and engines that need no package."""

import torch

from detkit.contracts.exporters import tiny_graph as graph
from detkit.export.graph import dynamic_axes
from detkit.structures import ExportGraph, WrittenExport

__all__ = ["Engine", "Exporter", "graph"]


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
