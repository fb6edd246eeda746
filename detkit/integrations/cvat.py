"""CVAT: a function for `cvat-cli task auto-annotate ID --function-module detkit.integrations.cvat`.

CVAT calls `create` with the parameters of `-p`, such as `-p ckpt=str:runs/mine`.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from detkit.integrations.packages import missing_package, opened

try:
    import cvat_sdk.auto_annotation as cvat
except ImportError as error:
    raise missing_package("cvat", error) from error


class DetectionFunction:
    """A detector as an auto-annotation function of CVAT; labels are matched by name.

    Args:
        ckpt: What `detkit.load` takes: a run, a bundle, an exported file, `hf://OWNER/NAME`.
        device: `auto` uses a GPU if there is one; else `cpu`, `cuda` or `cuda:1`.
        threshold: Minimum score if CVAT sets none; -1 takes the detector's.
    """

    def __init__(self, ckpt: str, device: str = "auto", threshold: float = -1) -> None:
        self._detector = opened(ckpt, device)
        self._threshold = None if threshold < 0 else threshold
        names = self._detector.class_names
        self.spec = cvat.DetectionFunctionSpec(
            labels=[
                cvat.label_spec(name, label, type="rectangle") for label, name in enumerate(names)
            ]
        )

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """The detections in an image as rectangles."""
        threshold = self._threshold if context.conf_threshold is None else context.conf_threshold
        (result,) = self._detector.predict(image, threshold=threshold)
        rows = zip(result.labels.tolist(), result.boxes.tolist(), strict=True)
        return [cvat.rectangle(label, box) for label, box in rows]


create = DetectionFunction
