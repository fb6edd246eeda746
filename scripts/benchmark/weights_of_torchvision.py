"""Weights of a torchvision detector in ours, by `detkit import`."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import torch
from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.inference.checkpoint import load_weights, read_checkpoint


def imported(model: nn.Module, page: str, classes: int) -> nn.Module:
    """Our detector of a page with the weights of a torchvision detector of so many classes.

    Raises:
        RuntimeError: The command refused the file; its words are in the error.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder) / "weights.pth", Path(folder) / "ours.ckpt"
        torch.save(model.state_dict(), file)
        names = f"classes=[{','.join(f'class_{i}' for i in range(classes))}]"
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(["import", str(file), f"model={page}", names, f"output={output}"])
        if status != 0:
            raise RuntimeError(said.getvalue())
        checkpoint = read_checkpoint(output)
    own = Classes(checkpoint.class_names, checkpoint.category_ids)
    detector = assembly.build_detector(checkpoint.config["model"], own)
    load_weights(detector, checkpoint)
    return detector
