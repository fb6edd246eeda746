"""Parts without torch, to try composition on; loaded as a plugin by the tests of this folder."""

from typing import Annotated, Literal

from detkit import Slot, Wired, register
from detkit.registry import Fraction, PositiveInt


@register("backbone", "toy_net")
class ToyNet:
    """Backbone for tests.

    Args:
        frozen: Stages that do not train.
        depth: Number of stages.
    """

    def __init__(self, *, frozen: int = 0, depth: PositiveInt = 4) -> None:
        self.feature_specs = [(8, 4)] * depth


@register("neck", "toy_fpn")
class ToyFpn:
    """Neck for tests.

    Args:
        extra: Where further levels come from.
        out_channels: Channels of each level.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list],
        out_channels: PositiveInt = 256,
        extra: Literal["none", "p6p7"] = "none",
    ) -> None:
        self.feature_specs = feature_specs


@register("neck", "toy_pan")
class ToyPan:
    """Another neck for tests.

    Args:
        out_channels: Channels of each level.
    """

    def __init__(self, *, feature_specs: Wired[list], out_channels: PositiveInt = 256) -> None:
        self.feature_specs = feature_specs


@register("loss", "toy_focal")
class ToyFocal:
    """Classification loss for tests.

    Args:
        alpha: Weight of positives.
    """

    space = "classes"

    def __init__(self, *, alpha: Fraction = 0.25) -> None:
        self.alpha = alpha


@register("loss", "toy_l1")
class ToyL1:
    """Box loss for tests.

    Args:
        weight: Weight of the loss.
    """

    space = "codes"

    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight


@register("loss", "toy_giou")
class ToyGiou:
    """Another box loss for tests.

    Args:
        weight: Weight of the loss.
        mode: How the loss falls.
    """

    space = "boxes"

    def __init__(self, *, weight: float = 1.0, mode: Literal["log", "linear"] = "linear") -> None:
        self.weight = weight


@register("head", "toy_retina")
class ToyRetina:
    """Head for tests.

    Args:
        convs: Number of convolutions.
        classification_loss: Loss of the classes.
        box_loss: Loss of the boxes.
        quality_loss: Loss of the quality.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list],
        num_classes: Wired[int],
        convs: PositiveInt = 4,
        classification_loss: Annotated[object, Slot("loss", "toy_focal", space=("classes",))],
        box_loss: Annotated[object, Slot("loss", "toy_l1", space=("codes", "boxes"))],
        quality_loss: Annotated[object | None, Slot("loss", None, space=("classes",))],
    ) -> None:
        self.num_classes = num_classes


@register("head", "toy_fcos")
class ToyFcos:
    """Another head for tests.

    Args:
        radius: Radius of the centre.
        box_loss: Loss of the boxes.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list],
        radius: float = 1.5,
        box_loss: Annotated[
            object, Slot("loss", "toy_giou", {"weight": 2.0}, space=("codes", "boxes"))
        ],
    ) -> None:
        self.radius = radius


@register("detector", "toy_stage")
class ToyStage:
    """Detector for tests.

    Args:
        backbone: The backbone.
        neck: The neck.
        head: The head.
    """

    def __init__(
        self,
        *,
        backbone: Annotated[object, Slot("backbone", "toy_net")],
        neck: Annotated[object, Slot("neck", "toy_fpn")],
        head: Annotated[object, Slot("head", "toy_retina")],
    ) -> None:
        self.backbone, self.neck, self.head = backbone, neck, head
