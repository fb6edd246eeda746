"""Regions that a trained detector proposes, in pixels of the image file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from detkit import assembly
from detkit.api.checkpoint_config import compose_with
from detkit.assembly import Classes
from detkit.data.collate import Collate
from detkit.data.configured_proposals import configured_proposals
from detkit.data.image_decoding import decode
from detkit.data.proposal_methods import Boxes
from detkit.data.single_image import read_image
from detkit.heads.rpn import RPN
from detkit.inference.detecting import choose_device
from detkit.pixels.pixel_format import PixelFormat
from detkit.runs.checkpoint import find_checkpoint, load_weights, read_checkpoint
from detkit.structures.detections import boxes_in_original


class RunRegions:
    """Proposes the regions of a run's RPN, or the boxes that any other detector detects.

    Args:
        source: A run folder or checkpoint.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.

    Attributes:
        description: What the regions are.
        digest: Of the weights, since a run may be trained further.
    """

    def __init__(self, source: str, device: str) -> None:
        checkpoint = read_checkpoint(find_checkpoint(source, key="ckpt"))
        config = compose_with(checkpoint, "predict", ["ckpt=loaded", "source=inputs"])
        classes = Classes(checkpoint.class_names, checkpoint.category_ids)
        self._device = choose_device(device)
        self._detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
        load_weights(self._detector, checkpoint)
        self._detector.to(self._device).eval()
        self._transforms = assembly.build_transforms(config["augmentation"], "evaluation")
        self._collate = Collate(pad_multiple=config["augmentation"]["pad_multiple"])
        self._proposals = configured_proposals(config)
        self._pixels = PixelFormat.of(checkpoint.config)
        self._lock = Lock()
        self.digest = digest_of(checkpoint.weights)
        proposer = getattr(self._detector, "proposer", None)
        self._proposer = proposer if isinstance(proposer, RPN) else None
        self.description = (
            "boxes that it detects" if self._proposer is None else "regions of its RPN"
        )

    @torch.no_grad()
    def __call__(self, path: Path) -> Boxes:
        """The regions of an image file, best first."""
        sample = read_image(
            lambda: decode(path, self._pixels),
            f"the image '{path}'",
            path=str(path),
            transforms=self._transforms,
            proposals=self._proposals,
        )
        with self._lock:
            batch = self._collate([sample]).to(self._device)
            if self._proposer is None:
                detections = self._detector.predict(batch)[0]
                return detections.boxes.cpu().numpy().astype(np.float32)
            features = self._detector.features_of(batch)  # type: ignore[operator]
            regions = self._proposer.propose(features, batch.size_tensor).split()[0].cpu()
        sizes = torch.tensor(batch.original_sizes).reshape(-1, 2)
        boxes: Boxes = boxes_in_original(regions[None], batch.to_image, sizes)[0].numpy()
        return boxes


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """A digest of weights that does not depend on the file they are in."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
