"""What an exported model file says about itself; imports no torch.

Every exporter writes it as JSON under `METADATA_KEY`, beside the network, and every engine reads
it: with it a single file is enough to predict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from detkit.errors import UserError

METADATA_KEY = "detkit"  # in ONNX's metadata_props, OpenVINO's rt_info and the like
FORMAT = 1
_COLOURS = 3
DETECTION_OUTPUTS = ("boxes", "scores", "labels", "counts")
RAW_OUTPUTS = ("boxes", "scores")
MASKS = "masks"  # the output after DETECTION_OUTPUTS, if the detector has a mask head


@dataclass(frozen=True)
class ExportedModel:
    """The metadata of an exported detector.

    Its graph takes `images`, float32 (B, C, H, W) from 0 to 255, and normalises them. With
    `nms` it returns `boxes` (B, D, 4), `scores` (B, D), `labels` (B, D) and `counts` (B,), padded
    as `PaddedDetections`; without, `boxes` (B, P, 4) and `scores` (B, P, C). With `mask_size` M it
    also returns `masks` (B, D, M, M).

    Attributes:
        class_names: The C names, in label order.
        category_ids: The data set's id of each class.
        resize: The transforms of validation images: label to configuration node, in order.
        padding: The value of each channel, 0 to 255, of pixels added right of and below an image;
            the pixel mean, so that they are 0 after normalisation.
        score_threshold: The minimum score to show unless the user sets another.
        page: The model's name, such as `fcos`; None if it has none.
        size: The (height, width) that the graph takes; None if any.
        batch: The number of images that the graph takes; None if any.
        nms: Whether post-processing is part of the graph.
        precision: `fp32`, `fp16` or `int8`.
        pad_multiple: Height and width of the images must be multiples of this.
        stride: The largest stride of the network.
        channels: Channels of the images; 3 are red, green and blue.
        value_range: Values of black and white in images of more than 8 bits; None for 8 bits.
        postprocess: The configuration of the detector's post-processing, for graphs without it.
        class_thresholds: The measured minimum score of each class, by name, to use on request.
        mask_size: Side of the map that each detection's mask comes as; None for boxes alone.
    """

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    resize: Mapping[str, Mapping[str, Any]]
    padding: tuple[float, ...]
    score_threshold: float
    page: str | None = None
    size: tuple[int, int] | None = None
    batch: int | None = None
    nms: bool = True
    precision: str = "fp32"
    pad_multiple: int = 1
    stride: int = 1
    postprocess: Mapping[str, Any] | None = None
    channels: int = _COLOURS
    value_range: tuple[float, float] | None = None
    mask_size: int | None = None
    class_thresholds: Mapping[str, float] | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the graph's outputs, in order."""
        if not self.nms:
            return RAW_OUTPUTS
        return DETECTION_OUTPUTS if self.mask_size is None else (*DETECTION_OUTPUTS, MASKS)

    def to_json(self) -> str:
        """The text to store in the file.

        Channels and value range are left out for 8-bit RGB, the mask size without masks, and
        thresholds of classes if there are none, so that an older detkit can read it.
        """
        values = asdict(self)
        if self.mask_size is None:
            del values["mask_size"]
        if self.class_thresholds is None:
            del values["class_thresholds"]
        if self.channels == _COLOURS and self.value_range is None:
            del values["channels"], values["value_range"]
        return json.dumps({"format": FORMAT, **values}, ensure_ascii=False)

    @staticmethod
    def from_json(text: str, source: str) -> ExportedModel:
        """Read the text that `to_json` wrote.

        Args:
            text: The text.
            source: The file it comes from, for messages.

        Raises:
            UserError: The text is damaged, or a newer detkit wrote it.
        """
        try:
            values = json.loads(text)
            version = values.pop("format")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _damaged(source, "it is no JSON object with a format number") from None
        if version != FORMAT:
            raise UserError(
                f"{source}: its detkit metadata has format {version}, this detkit reads format "
                f"{FORMAT}: update detkit, or export the file again."
            )
        try:
            return _checked(values)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(source, f"{type(error).__name__}: {error}") from error


def _checked(values: dict[str, Any]) -> ExportedModel:
    """The metadata of decoded JSON; unknown keys are TypeErrors."""
    for key in ("class_names", "category_ids", "padding", "size", "value_range"):
        if values.get(key) is not None:
            values[key] = tuple(values[key])
    model = ExportedModel(**values)
    names, ids = model.class_names, model.category_ids
    if not names or len(names) != len(ids) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_names {names} and category_ids {ids} do not belong together")
    if len(model.padding) != model.channels or len(model.size or (0, 0)) != 2:  # noqa: PLR2004
        raise ValueError(f"padding {model.padding} or size {model.size} has a wrong length")
    optional = [n for n in (model.batch, model.mask_size) if n is not None]
    whole = (model.pad_multiple, model.stride, *(model.size or ()), *optional)
    if not all(isinstance(number, int) and number > 0 for number in whole):
        raise ValueError("size, batch, pad_multiple, stride, mask_size: expected numbers above 0")
    if model.class_thresholds is not None and not isinstance(model.class_thresholds, dict):
        raise ValueError(f"class_thresholds {model.class_thresholds} is not a mapping")
    if not all(isinstance(node, dict) and "name" in node for node in model.resize.values()):
        raise ValueError(f"resize {model.resize} is not a mapping of labels to transforms")
    return model


def _damaged(source: str, problem: str) -> UserError:
    return UserError(
        f"{source}: its detkit metadata is damaged ({problem}): export the file again with "
        "`detkit export`."
    )
