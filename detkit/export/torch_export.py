"""The exporter of torch.export programs."""

from __future__ import annotations

from pathlib import Path

import torch

from detkit.errors import UserError
from detkit.export.graph import trace
from detkit.inference.engines.torch_program import TorchProgram
from detkit.registry import register
from detkit.structures.export_graph import ExportGraph, Images, LayerComparison, WrittenExport
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
        """Write the traced program, with the metadata as an extra file in the archive.

        Raises:
            UserError: The detector has a mask head.
        """
        if graph.metadata.mask_size is not None:
            # `torch.export.load` raises "Node.meta wrap_with_autocast is missing val field".
            raise UserError(
                "format=torch_export: PyTorch cannot load the saved program of a detector with a "
                "mask head: use format=onnx or format=openvino."
            )
        extra = {f"{METADATA_KEY}.json": graph.metadata.to_json()}
        torch.export.save(trace(graph), path, extra_files=extra)
        return WrittenExport()

    def open(self, path: Path, threads: int) -> TorchProgram:
        """Load a written program."""
        return TorchProgram(path, threads)

    def compare_layers(
        self, graph: ExportGraph, path: Path, images: Images, tolerance: float
    ) -> LayerComparison:
        """Compare the weights of a written program's layers, which must be equal, with PyTorch's.

        A program does not show the outputs of its layers; it keeps their weights unchanged.
        """
        weights = TorchProgram(path, 1).weights
        compared: dict[str, None] = {}
        for name, value in graph.module.state_dict().items():
            layer = name.removeprefix("detector.").rpartition(".")[0]
            if name not in weights:
                continue  # the graph does not use it
            compared[layer] = None
            if not torch.equal(weights[name], value):
                difference = f"{layer}: it has other weights"
                return LayerComparison(tuple(compared), difference, values="weights")
        return LayerComparison(tuple(compared), values="weights")
