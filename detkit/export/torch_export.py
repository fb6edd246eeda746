"""The exporter of torch.export programs."""

from __future__ import annotations

from pathlib import Path

import torch

from detkit.export.engines import TorchProgram
from detkit.export.graph import trace
from detkit.registry import register
from detkit.structures.export_graph import ExportGraph, WrittenExport
from detkit.structures.exported import METADATA_KEY


@register("exporter", "torch_export")
class TorchExporter:
    """One .pt2 file for PyTorch: `torch.export.load(FILE).module()`.

    Programs with post-processing need `import detkit.ops` first, which registers its NMS. A program
    of dynamic size refuses images that are smaller than two cells of the coarsest feature map.
    """

    suffix = ".pt2"
    engine = "torch.export"
    precisions = ("fp32",)

    def require(self) -> None:
        """Needs nothing but PyTorch."""

    def write(self, graph: ExportGraph, path: Path) -> WrittenExport:
        """Write the traced program, with the metadata as an extra file in the archive."""
        extra = {f"{METADATA_KEY}.json": graph.metadata.to_json()}
        torch.export.save(trace(graph), path, extra_files=extra)
        return WrittenExport()

    def open(self, path: Path, threads: int) -> TorchProgram:
        """Load a written program."""
        return TorchProgram(path, threads)
