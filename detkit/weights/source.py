"""Read weight files of detkit and of other libraries; name their classes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from detkit.errors import UserError
from detkit.runs.bundle import bundle_at
from detkit.runs.checkpoint import (
    PREFIX,
    Checkpoint,
    find_checkpoint,
    read_checkpoint,
    require_weights,
)
from detkit.runs.checkpoint_record import RECORD
from detkit.runs.tensor_file import read_tensors
from detkit.weights.array_pickle import is_array_pickle, read_array_pickle
from detkit.weights.class_names import (
    Slots,
    place_in_slots,
    read_class_list,
)
from detkit.weights.darknet import SUFFIX, read_darknet
from detkit.weights.detectron2_source import is_detectron2, read_detectron2
from detkit.weights.detr_source import is_detr, read_detr
from detkit.weights.mmdet_source import is_mmdet, read_mmdet
from detkit.weights.published import local_file
from detkit.weights.tensor_names import (
    library_of_detector,
    unwrapped_name,
)
from detkit.weights.torchvision_source import (
    ONLY_BACKBONE,
    is_torchvision,
    read_torchvision,
    read_torchvision_ssd,
)
from detkit.weights.torchvision_ssd import is_torchvision_ssd
from detkit.weights.ultralytics_source import is_ultralytics, read_ultralytics
from detkit.weights.weight_source import WeightSource, logits_of_prior
from detkit.weights.yolox_source import is_yolox, read_yolox

# Keys under which training scripts save weights; averaged weights come first.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
_DETKIT_LAYERS = ("head.layers.", "proposer.layers.")
# Whether tensor names belong to a detector of a library, and what reads it.
_LIBRARIES: list[tuple[Callable[[Collection[str]], bool], Callable[..., WeightSource]]] = [
    (is_torchvision, read_torchvision),
    (is_torchvision_ssd, read_torchvision_ssd),
    (is_detr, read_detr),
    (is_mmdet, read_mmdet),
    (is_detectron2, read_detectron2),
    (is_yolox, read_yolox),
    (is_ultralytics, read_ultralytics),
]


def read_source(source: str, key: str = "weights") -> WeightSource:
    """Read a weight file, a checkpoint, a run folder or a bundle; runs no code of it.

    Args:
        source: The file or folder, or the name of published weights in the cache.
        key: The key that named it, for messages.

    Raises:
        UserError: It cannot be read, or holds no weights.
    """
    path = find_checkpoint(local_file(source, key), key=key)
    if path.suffix == SUFFIX:
        return read_darknet(path)
    content = None if bundle_at(path) else _content(path)
    if content is None or (isinstance(content, dict) and RECORD in content):
        return _of_detkit(read_checkpoint(path))
    tensors = _named_tensors(content, path)
    for is_of_library, read in _LIBRARIES:
        if is_of_library(tensors):
            return read(path, tensors)
    if any(name.startswith(_DETKIT_LAYERS) for name in tensors):
        return WeightSource(path, "detkit weights", tensors, logits=logits_of_prior(tensors))
    library = library_of_detector(tensors)
    kind = f"a detector of {library}, {ONLY_BACKBONE}" if library else "backbone weights"
    return WeightSource(path, kind, tensors, is_backbone=True)


def name_classes(source: WeightSource, classes: str | Sequence[str] | None) -> WeightSource:
    """Name the classes of a source.

    Args:
        source: From a file.
        classes: A list, a file of names, or None to keep the file's own.

    Raises:
        UserError: The file names its classes or has none, or the number of names differs.
    """
    if classes is None:
        return source
    if source.checkpoint is not None:
        stored = ", ".join(source.checkpoint.class_names)
        raise UserError(
            f"classes: {source.path} holds its own class names ({stored}): leave `classes` out; "
            "set `new_classes` to detect other classes."
        )
    if source.logits is None:
        raise UserError(
            f"classes: {source.path} ({source.kind}) holds no class layer that detkit can use: "
            "leave `classes` out and list the classes to detect in `new_classes`."
        )
    names = read_class_list(classes, "classes")
    slots = place_in_slots(names, source.logits, "classes")
    if source.page is None and len(names.names) < len(slots.names) and slots.names[0] is None:
        return replace(source, slots=slots.without_first())  # detkit's background is last
    if source.background_first:
        if slots.names[0] is not None:
            raise UserError(
                f"classes: '{slots.names[0]}' has label 0, which is the background of "
                f"{source.path}: give the {source.logits - 1} names after it."
            )
        slots = slots.without_first()
    return replace(source, slots=slots)


def _content(path: Path) -> Any:
    return read_array_pickle(path) if is_array_pickle(path) else read_tensors(path)


def _of_detkit(checkpoint: Checkpoint) -> WeightSource:
    return WeightSource(
        path=checkpoint.path,
        kind=f"detkit {checkpoint.record.version}",
        tensors=checkpoint.weights,
        slots=Slots(list(checkpoint.class_names), checkpoint.category_ids),
        checkpoint=checkpoint,
    )


def _named_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    named = content if isinstance(content, dict) else {}
    tensors = {n: v for n, v in named.items() if isinstance(n, str) and isinstance(v, Tensor)}
    if not tensors:
        raise UserError(
            f"{path}: holds no named tensors: give the weights of a model, as "
            "torch.save(model.state_dict(), FILE) writes them."
        )
    return {
        unwrapped_name(name).removeprefix(PREFIX): v
        for name, v in require_weights(tensors, path).items()
    }
