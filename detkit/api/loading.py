"""`detkit.load`: open a run, a checkpoint, a bundle or an exported file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detkit.api.arguments import override_list, refuse_overrides
from detkit.api.augmented_backend import ViewBackend
from detkit.api.detector import EVALUATE_REMEDIES, Detector
from detkit.api.exported_backend import ExportedBackend
from detkit.api.tiled_backend import tiled
from detkit.api.view_settings import view_settings
from detkit.errors import UserError
from detkit.inference.augmented_views import AugmentedViews
from detkit.inference.engines.opening import exported_file
from detkit.inference.tiling import Tiling, tiling_of
from detkit.public_names import import_name

if TYPE_CHECKING:
    import torch

_REMEDIES = {
    **EVALUATE_REMEDIES,
    "source": "pass the images to predict",
    "score_threshold": "pass threshold to predict",
    "batch_size": "pass batch_size to predict",
    "mask_format": "pass mask_format to Result.to_coco",
}


def load(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    device: str | torch.device = "auto",
    overrides: Sequence[str] = (),
    tiling: Tiling | Mapping[str, Any] | None = None,
    tta: AugmentedViews | Mapping[str, Any] | None = None,
    merge: str | Mapping[str, Any] | None = None,
    weights: Sequence[float] | None = None,
) -> Detector:
    """Load a trained detector, or several as one.

    Args:
        source: A run folder (its best checkpoint), a checkpoint file, a bundle, or a file that
            `detkit export` wrote: `.onnx` runs in onnxruntime, `.xml` in OpenVINO, both without
            PyTorch, and `.pt2` in PyTorch; or an address, which is downloaded: `hf://OWNER/NAME`,
            `hf://OWNER/NAME/model.onnx`, `wandb://ENTITY/PROJECT/NAME:ALIAS`. A list of these makes
            an ensemble, whose classes are matched by name.
        device: `auto` uses a GPU if there is one; else `cpu`, `cuda` or `cuda:1`.
        overrides: Changes of the run's settings, as `detkit predict` takes them, such as
            `["image_size=640", "model.head.postprocess.max_detections=20"]`. The settings of an
            exported file are fixed.
        tiling: Detect in overlapping tiles of each image, such as `{"size": 640, "overlap": 0.2}`;
            docs/tiling.md lists all settings.
        tta: Detect in several views of each image, such as `{"flip": True, "scales": [0.8, 1.0]}`.
        merge: The post-processor that merges the detections of views and detectors, such as `nms`,
            or `{"name": "soft_nms", "iou_threshold": 0.6}`; None takes weighted boxes fusion.
        weights: How much each detector of an ensemble counts; None weights all alike.

    Raises:
        UserError: There is no such file, it is damaged or not from detkit, the device is missing,
            or an override or the tiling is wrong.

    Example:
        >>> import detkit
        >>> detector = detkit.load("runs/mine")
        >>> results = detector.predict("photos/a.png")
    """
    words = override_list(overrides)
    refuse_overrides(words, _REMEDIES)
    _refuse_empty({"tiling": tiling, "tta": tta, "merge": merge})
    tiles = tiling_of(tiling)
    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    _require_paths(sources)
    settings = view_settings(len(sources), tta=tta, merge=merge, weights=weights)
    backends = [_opened(os.fspath(path), device, words) for path in sources]
    return tiled(backends[0] if settings is None else settings.backend(backends), tiles)


def _refuse_empty(arguments: Mapping[str, Any]) -> None:
    """Refuse settings without content.

    Raises:
        UserError: An argument is an empty mapping.
    """
    for name, value in arguments.items():
        if value == {}:
            raise UserError(f"{name}={{}}: changes nothing: add settings, or leave it out.")


def _require_paths(sources: Sequence[object]) -> None:
    """Refuse a list that is empty, or holds something other than paths.

    Raises:
        UserError: It is such a list.
    """
    if not sources:
        raise UserError("detkit.load got an empty list: pass a run, or several.")
    if wrong := [path for path in sources if not isinstance(path, str | os.PathLike)]:
        raise UserError(f"detkit.load got {wrong[0]!r}; expected paths of runs or exported files.")


def _opened(source: str, device: str | torch.device, words: list[str]) -> ViewBackend:
    file = exported_file(source)
    if file is None:
        run: ViewBackend = import_name("open_run")(source, device, words)
        return run
    if words:
        raise UserError(
            f"overrides: '{words[0]}' has no effect on {file}, whose settings were fixed when it "
            "was exported: pass the override to `detkit export`."
        )
    return ExportedBackend(file, device=str(device))
