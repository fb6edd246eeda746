"""Weight files of detkit, torchvision and timm, with the names and classes that detkit needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torchvision.models.detection import (
    FasterRCNN_ResNet50_FPN_Weights,
    RetinaNet_ResNet50_FPN_Weights,
)

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
from detkit.weights.class_names import (
    COCO_SLOTS,
    Slots,
    coco_slots,
    place_in_slots,
    read_class_list,
)
from detkit.weights.tensor_names import (
    library_of_detector,
    name_of_torchvision_detector,
    present_names,
    unwrapped_name,
)
from detkit.weights.torchvision_roi_head import REGION_CLASS_LAYER, background_last
from detkit.weights.torchvision_ssd import (
    is_torchvision_ssd,
    logits_of_ssd,
    page_of_ssd,
    tensors_of_ssd,
)

# Under which training scripts keep the weights; averaged ones before others.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
_CLASS_LAYER, _BOX_LAYER = "head.layers.class_layer.weight", "head.layers.box_layer.weight"
_FOURTH_LEVEL = "neck.lateral.3.conv.weight"  # the pyramid of a ResNet, not of a MobileNet
_REGION_BOX_LAYER = "roi_head.stage.box_layer.weight"
_DETKIT_LAYERS = ("head.layers.", "proposer.layers.")
_ONLY_BACKBONE = "of which detkit can use only the backbone"
_CODE_SIZE = 4
# Those for which torchvision sets the epsilon of the norms to 0.
_WITHOUT_EPSILON = (
    RetinaNet_ResNet50_FPN_Weights.COCO_V1,
    FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
)
_EPSILON = 1e-5  # of torch's and torchvision's batch norms


@dataclass(frozen=True)
class WeightSource:
    """Weights from a file, and what is known of them.

    Attributes:
        path: The file.
        kind: Where they are from, for messages.
        tensors: By detkit's names; a backbone's by the file's own.
        is_backbone: Whether only a backbone can be taken from them: they are one, with or without
            its classifier, or a detector that detkit does not have.
        logits: K, what the detector has for each prior; None where it has no such layer.
        slots: What the detector's logits stand for, background last left out; None where the file
            does not say.
        background_first: Whether the file counts background among its classes, as label 0.
        page: The page of conf/model that the weights were made for.
        augmentation: The page of conf/augmentation that goes with it.
        checkpoint: The whole checkpoint where detkit wrote it.
    """

    path: Path
    kind: str
    tensors: dict[str, Tensor]
    is_backbone: bool = False
    logits: int | None = None
    slots: Slots | None = None
    background_first: bool = False
    page: str | None = None
    augmentation: str = "torchvision"
    checkpoint: Checkpoint | None = None


def read_source(source: str, key: str = "weights") -> WeightSource:
    """Read a weight file, a checkpoint, a run folder or a bundle; runs no code of it.

    Args:
        source: The file or folder.
        key: The key that named the place, for messages.

    Raises:
        UserError: It cannot be read, or holds no weights.
    """
    path = find_checkpoint(source, key=key)
    content = None if bundle_at(path) else read_tensors(path)
    if content is None or (isinstance(content, dict) and RECORD in content):
        return _of_detkit(read_checkpoint(path))
    tensors = _named_tensors(content, path)
    if any(name.startswith("backbone.body.") for name in tensors):
        return _of_torchvision(path, tensors)
    if is_torchvision_ssd(tensors):
        return _of_torchvision_ssd(path, tensors)
    if any(name.startswith(_DETKIT_LAYERS) for name in tensors):
        return WeightSource(path, "detkit weights", tensors, logits=_logits(tensors))
    library = library_of_detector(tensors)
    kind = f"a detector of {library}, {_ONLY_BACKBONE}" if library else "backbone weights"
    return WeightSource(path, kind, tensors, is_backbone=True)


def name_classes(source: WeightSource, classes: str | Sequence[str] | None) -> WeightSource:
    """The source with the names that a user gives for its classes.

    Args:
        source: From a file.
        classes: A list, a file of names, or None where the file's own hold.

    Raises:
        UserError: It has names of its own or no classes, or the number of names does not fit.
    """
    if classes is None:
        return source
    if source.checkpoint is not None:
        stored = ", ".join(source.checkpoint.class_names)
        raise UserError(
            f"classes: {source.path} holds its own class names ({stored}): leave `classes` out; "
            "`new_classes` says what to detect instead."
        )
    if source.logits is None:
        raise UserError(
            f"classes: {source.path} ({source.kind}) holds no class layer that detkit can use: "
            "leave `classes` out; `new_classes` says what to detect."
        )
    names = read_class_list(classes, "classes")
    slots = place_in_slots(names, source.logits, "classes")
    if source.page is None and len(names.names) < len(slots.names) and slots.names[0] is None:
        return replace(source, slots=slots.without_first())  # detkit's background is last
    if source.background_first:
        if slots.names[0] is not None:
            raise UserError(
                f"classes: '{slots.names[0]}' stands at label 0, which is the background of "
                f"{source.path}: give the {source.logits - 1} names after it."
            )
        slots = slots.without_first()
    return replace(source, slots=slots)


def _of_detkit(checkpoint: Checkpoint) -> WeightSource:
    return WeightSource(
        path=checkpoint.path,
        kind=f"detkit {checkpoint.record.version}",
        tensors=checkpoint.weights,
        slots=Slots(list(checkpoint.class_names), checkpoint.category_ids),
        checkpoint=checkpoint,
    )


def _of_torchvision(path: Path, named_tensors: dict[str, Tensor]) -> WeightSource:
    present = present_names(named_tensors)
    tensors = {name_of_torchvision_detector(present[name]): v for name, v in named_tensors.items()}
    if _is_published_without_epsilon(path):
        tensors = {name: _without_epsilon(name, value) for name, value in tensors.items()}
    if _FOURTH_LEVEL in tensors and REGION_CLASS_LAYER in tensors:
        return _two_stage(path, tensors)
    if _CLASS_LAYER in tensors:
        return _one_stage(path, tensors)
    # Levels and layers of other detectors are not those of ours.
    kind = f"a torchvision detector of another kind, {_ONLY_BACKBONE}"
    return WeightSource(path, kind, named_tensors, is_backbone=True)


def _one_stage(path: Path, tensors: dict[str, Tensor]) -> WeightSource:
    page = "torchvision_retinanet"
    if "head.layers.quality_layer.weight" in tensors:
        page = "torchvision_fcos"
    elif "head.layers.class_tower.0.norm.weight" in tensors:
        page = "torchvision_retinanet_v2"
        tensors = {**_zero_biases(tensors), **tensors}
    logits = _logits(tensors)
    slots = coco_slots() if logits == len(COCO_SLOTS) else None
    return WeightSource(path, _kind(page, slots), tensors, logits=logits, slots=slots, page=page)


def _two_stage(path: Path, tensors: dict[str, Tensor]) -> WeightSource:
    is_second = "roi_head.stage.box_head.convs.0.conv.weight" in tensors
    page = f"torchvision_faster_rcnn{'_v2' if is_second else ''}"
    logits = len(tensors[REGION_CLASS_LAYER])
    slots = coco_slots().without_first() if logits == len(COCO_SLOTS) else None
    return WeightSource(
        path=path,
        kind=_kind(page, slots),
        tensors=background_last(tensors),
        logits=logits,
        slots=slots,
        background_first=True,
        page=page,
    )


def _of_torchvision_ssd(path: Path, given: dict[str, Tensor]) -> WeightSource:
    page, tensors = page_of_ssd(given), tensors_of_ssd(given)
    logits = logits_of_ssd(tensors)
    slots = coco_slots().without_first() if logits == len(COCO_SLOTS) else None
    return WeightSource(
        path=path,
        kind=_kind(page, slots),
        tensors=tensors,
        logits=logits,
        slots=slots,
        background_first=True,
        page=page,
        augmentation=page.removeprefix("torchvision_"),
    )


def _kind(page: str, slots: Slots | None) -> str:
    return f"{page.replace('_', ' ')}{', with the classes of COCO' if slots else ''}"


def _zero_biases(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the towers of RetinaNet's second version add; their convolutions have no biases."""
    return {
        name.replace(".weight", ".bias"): value.new_zeros(len(value))
        for name, value in tensors.items()
        if "_tower." in name and name.endswith(".conv.weight")
    }


def _is_published_without_epsilon(path: Path) -> bool:
    """Whether it is a file of torchvision's own, told by the hash that its name carries."""
    expected = [w.url.rpartition("-")[2].removesuffix(".pth") for w in _WITHOUT_EPSILON]
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest().startswith(tuple(expected))


def _without_epsilon(name: str, value: Tensor) -> Tensor:
    """The variance with which our norms give what torchvision's do without an epsilon.

    torchvision sets the epsilon of the norms to 0 when it loads these weights, and only in a few.
    """
    return value - _EPSILON if name.endswith("running_var") else value


def _logits(tensors: Mapping[str, Tensor]) -> int | None:
    """The logits of a prior in a dense head whose box codes are four numbers.

    Of a roi head, the classes that have boxes of their own: background, its last logit, has none.
    """
    if _REGION_BOX_LAYER in tensors:
        boxes = len(tensors[_REGION_BOX_LAYER]) // _CODE_SIZE
        return boxes if boxes > 1 else None  # one box may serve all classes
    if not {_CLASS_LAYER, _BOX_LAYER} <= tensors.keys():
        return None
    priors = max(1, tensors[_BOX_LAYER].shape[0] // _CODE_SIZE)
    return tensors[_CLASS_LAYER].shape[0] // priors


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
