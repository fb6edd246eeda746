"""The settings of detection in tiles, checked without PyTorch and Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from detkit.errors import UserError, did_you_mean
from detkit.inference.merging import Merging, merging_of
from detkit.inference.plain_values import block_in_words, plain_text
from detkit.pixels.resizing import Size
from detkit.pixels.tiles import Window, tile_windows
from detkit.registry import Fraction, PositiveInt

_EXAMPLE = "tiling={size: 640, overlap: 0.2}"
_SIDES = 2
_COARSEST = 32  # pixels
# Of all tiles together. The usual 100 would cut off most objects of a large image.
_MOST_DETECTIONS = 1000


@dataclass(frozen=True)
class Tiling:
    """Detects in overlapping tiles of an image instead of the whole image.

    Args:
        size: Height and width of a tile in pixels of the image, one number for both or [height,
            width]; null does not tile.
        overlap: Share of a tile that neighbours have in common; take objects' size / tile size.
        merge: The post-processor that merges the detections of all tiles, such as `nms`,
            `soft_nms` or `weighted_boxes_fusion`, or `{name: nms, iou_threshold: 0.6}`.
        full_image: Whether to detect in the whole image too, which finds objects larger than a
            tile.
        drop_cut: Whether to drop boxes that end at an inner border of their tile where a box of
            another tile shows more of the object.
        batch_size: Tiles per forward pass; `detkit evaluate` takes data.validation_batch_size.
    """

    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    overlap: Fraction = 0.2
    merge: str | dict[str, Any] = "nms"
    full_image: bool = False
    drop_cut: bool = True
    batch_size: PositiveInt = 8

    @property
    def tile(self) -> Size:
        """(height, width) of a tile."""
        height, width = (self.size,) * _SIDES if isinstance(self.size, int) else self.size or (0, 0)
        return height, width

    def windows(self, size: Size) -> list[Window]:
        """The parts of an image (height, width) to detect in."""
        windows = tile_windows(size, self.tile, self.overlap)
        if self.full_image and len(windows) > 1:
            windows.append(Window(0, 0, size[1], size[0]))
        return windows

    def merging(self) -> Merging:
        """The method that merges the detections of all tiles.

        Raises:
            UserError: There is no such post-processor, or it has no such setting or value.
        """
        node = {"name": self.merge} if isinstance(self.merge, str) else dict(self.merge)
        settings = {"max_detections": _MOST_DETECTIONS, **node}
        if settings.get("name") == "weighted_boxes_fusion":
            # most tiles cannot see an object, so how many agree on it says nothing
            settings.setdefault("score", "highest")
        return merging_of(settings, "tiling.merge")

    def require_stride(self, stride: int) -> None:
        """Refuse tiles that are smaller than one cell of the network's features.

        Features coarser than 32 pixels only add context, so they do not count.

        Raises:
            UserError: They are.
        """
        least = min(stride, _COARSEST)
        if min(self.tile) < least:
            raise UserError(
                f"tiling.size={plain_text(self.size)}: the network computes one feature from "
                f"{least} x {least} pixels, so a tile needs {least} or more."
            )

    def override(self) -> str:
        """The words that set these values on the command line."""
        return f"tiling={plain_text(asdict(self))}"


def tiling_of(value: Tiling | Mapping[str, Any] | None) -> Tiling | None:
    """The tiling of a configuration value or of an argument; None without a tile size.

    Raises:
        UserError: It has an unknown key or a value that does not fit.
    """
    if value is None:
        return None
    tiling = value if isinstance(value, Tiling) else _of_mapping(value)
    if tiling == Tiling():
        return None
    _require_values(tiling)
    tiling.merging()
    return tiling


def tiling_in_words(words: Sequence[str]) -> tuple[Tiling | None, list[str]]:
    """The tiling among the words of a command on an exported file, and the other words.

    Both `tiling={size: 640, overlap: 0.2}` and `tiling.size=640` set it; later words win.

    Raises:
        UserError: The text of a value cannot be read, or a value does not fit.
    """
    value, others = block_in_words(words, "tiling", _EXAMPLE)
    return tiling_of(cast("Mapping[str, Any] | None", value)), others


def _of_mapping(value: object) -> Tiling:
    if not isinstance(value, Mapping):
        raise _no_mapping(value)
    known = [item.name for item in fields(Tiling)]
    for key in value:
        if key not in known:
            raise UserError(
                f"tiling.{key}: there is no such setting.{did_you_mean(str(key), known)} "
                f"Tiling has {', '.join(known)}."
            )
    size = value.get("size")
    return Tiling(**{**value, "size": tuple(size) if isinstance(size, list) else size})


def _no_mapping(value: object) -> UserError:
    return UserError(f"tiling={plain_text(value)}: expected a mapping such as {_EXAMPLE}.")


def _require_values(tiling: Tiling) -> None:
    """Refuse values of a wrong type or range.

    Raises:
        UserError: There is one.
    """
    if tiling.size is None:
        raise UserError(
            "tiling.size: is missing: give the side of a tile in pixels, such as "
            "tiling={size: 640}."
        )
    sides = tiling.size if isinstance(tiling.size, tuple) else (tiling.size,) * _SIDES
    if len(sides) != _SIDES or not all(map(_is_count, sides)):
        raise _misfit(tiling, "size", "a whole number above 0, or [height, width]")
    if not _is_count(tiling.batch_size):
        raise _misfit(tiling, "batch_size", "a whole number above 0")
    for name in ("full_image", "drop_cut"):
        if not isinstance(getattr(tiling, name), bool):
            raise _misfit(tiling, name, "true or false")
    if not isinstance(tiling.merge, str | Mapping):
        raise _misfit(tiling, "merge", "the name of a post-processor, or {name: ..., ...}")
    overlap = tiling.overlap
    is_number = isinstance(overlap, int | float) and not isinstance(overlap, bool)
    if not is_number or not 0 <= overlap < 1:
        side = min(tiling.tile)
        hint = ""
        if is_number and 1 < overlap < side:
            hint = f" For {overlap:g} pixels give {overlap / side:.3g}."
        elif is_number and overlap >= 1:
            hint = " Neighbours cannot share a whole tile."
        raise UserError(
            f"tiling.overlap={plain_text(overlap)}: expected a share of the tile, from 0 to below "
            f"1.{hint}"
        )


def _misfit(tiling: Tiling, name: str, expected: str) -> UserError:
    return UserError(f"tiling.{name}={plain_text(getattr(tiling, name))}: expected {expected}.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
