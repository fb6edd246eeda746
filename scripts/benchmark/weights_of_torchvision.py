"""torchvision's detectors with published weights, and the same weights in ours."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint


def as_published(model: nn.Module) -> nn.Module:
    """Change a ResNet-50 detector built without weights to match one built with weights.

    The builders freeze norms, and layers up to stride 4, only where weights are asked for.
    """
    body = model.backbone.body
    for parent in list(body.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                frozen = FrozenBatchNorm2d(child.num_features, child.eps)
                weights = child.state_dict()
                frozen.load_state_dict({key: weights[key] for key in frozen.state_dict()})
                setattr(parent, name, frozen)
    for name in ("conv1", "layer1"):
        body.get_submodule(name).requires_grad_(False)
    return model


def imported(model: nn.Module, page: str, classes: int, *words: str) -> nn.Module:
    """Our detector of a page with the weights of a torchvision detector.

    Raises:
        RuntimeError: The command refused the file; its words are in the error.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder) / "weights.pth", Path(folder) / "ours.ckpt"
        torch.save(model.state_dict(), file)
        names = f"classes=[{','.join(f'class_{i}' for i in range(classes))}]"
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(["import", str(file), f"model={page}", names, f"output={output}", *words])
        if status != 0:
            raise RuntimeError(said.getvalue())
        checkpoint = read_checkpoint(output)
    own = Classes(checkpoint.class_names, checkpoint.category_ids)
    detector = assembly.build_detector(checkpoint.config["model"], own)
    load_weights(detector, checkpoint)
    return detector
