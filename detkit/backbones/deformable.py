"""Deformable convolutions in any backbone."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.func import functional_call

from detkit.errors import UserError
from detkit.interfaces import Backbone
from detkit.layers.deformable import DeformableConv
from detkit.ops.network_blocks import NetworkBlock, inner_blocks
from detkit.registry import Slot, register

_IMAGE_SIDE = 256  # of the image used to measure strides
_KERNEL = (3, 3)


@register("backbone", "deformable")
class DeformableBackbone(nn.Module):
    """Replaces the 3x3 convolutions of another backbone by deformable ones at given levels.

    Paper: Deformable ConvNets v2: More Deformable, Better Results (Zhu et al., 2019),
    https://arxiv.org/abs/1811.11168

    It keeps the weights of the other backbone and initially gives the same maps.
    """

    def __init__(
        self,
        *,
        backbone: Annotated[Backbone, Slot("backbone", "resnet50")],
        levels: tuple[Annotated[int, Interval(ge=1, le=6)], ...] = (3, 4, 5),
        modulated: bool = True,
    ) -> None:
        """Replace convolutions.

        Args:
            backbone: The backbone whose 3x3 convolutions are replaced.
            levels: Replace convolutions whose output has stride 2**l for one of these levels l.
            modulated: Whether each sample has a learnt weight (version 2) or not (version 1).

        Raises:
            UserError: A level has no 3x3 convolution.
        """
        super().__init__()
        if not isinstance(backbone, nn.Module):
            raise UserError("backbone 'deformable' needs a backbone that is a torch.nn.Module.")
        self.backbone = backbone
        self.feature_specs = backbone.feature_specs
        strides = _strides_of_convolutions(backbone)
        for level in levels:
            names = [name for name, stride in strides.items() if stride == 2**level]
            if not names:
                raise UserError(
                    f"the backbone has no 3x3 convolution at level {level} (stride {2**level}) to "
                    f"make deformable; it has some at strides {sorted(set(strides.values()))}: "
                    "change `levels`, or take a convolutional backbone."
                )
            for name in names:
                parent, _, attribute = name.rpartition(".")
                plain = backbone.get_submodule(name)
                deformable = DeformableConv(plain, modulated=modulated)  # type: ignore[arg-type]
                setattr(backbone.get_submodule(parent), attribute, deformable)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to the backbone's maps."""
        maps: list[Tensor] = self.backbone(images)
        return maps

    def ordered_blocks(self) -> list[NetworkBlock]:
        """The blocks of the other backbone."""
        return inner_blocks(self.backbone, "backbone")


def _strides_of_convolutions(backbone: nn.Module) -> dict[str, int]:
    """The output stride of each 3x3 convolution, by name, from a run on the meta device."""
    strides: dict[str, int] = {}
    handles = []
    for name, module in backbone.named_modules():
        if type(module) is nn.Conv2d and module.kernel_size == _KERNEL:

            def record_stride(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                strides[name] = round(_IMAGE_SIDE / output.shape[-1])

            handles.append(module.register_forward_hook(record_stride))
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    empty = {name: torch.empty_like(value, device="meta") for name, value in tensors.items()}
    image = torch.empty(1, 3, _IMAGE_SIDE, _IMAGE_SIDE, device="meta")
    backbone.eval()
    with torch.no_grad():
        functional_call(backbone, empty, (image,))
    backbone.train()
    for handle in handles:
        handle.remove()
    return strides
