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
from detkit.registry import Slot, register

_MEASURED = 256  # side of the image that strides are measured with
_KERNEL = (3, 3)


@register("backbone", "deformable")
class DeformableBackbone(nn.Module):
    """Another backbone, with deformable convolutions for its 3x3 ones at the levels chosen.

    Paper: Deformable ConvNets v2: More Deformable, Better Results (Zhu et al., 2019),
    https://arxiv.org/abs/1811.11168

    Weights are those of the other backbone; it starts by giving the same maps.
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
            backbone: The backbone; its 3x3 convolutions are replaced wherever it has them.
            levels: Where: convolutions whose maps have stride 2**l for one of these levels l.
            modulated: Whether each sample also has a learnt weight: version 2, else 1.

        Raises:
            UserError: A level has no 3x3 convolution.
        """
        super().__init__()
        if not isinstance(backbone, nn.Module):
            raise UserError("backbone 'deformable' changes torch modules, and this one is none.")
        self.backbone = backbone
        self.feature_specs = backbone.feature_specs
        strides = _strides_of_convolutions(backbone)
        for level in levels:
            chosen = [name for name, stride in strides.items() if stride == 2**level]
            if not chosen:
                raise UserError(
                    f"the backbone has no 3x3 convolution at level {level} (stride {2**level}) to "
                    f"make deformable; it has some at strides {sorted(set(strides.values()))}: "
                    "change `levels`, or take a convolutional backbone."
                )
            for name in chosen:
                parent, _, own = name.rpartition(".")
                plain = backbone.get_submodule(name)
                changed = DeformableConv(plain, modulated=modulated)  # type: ignore[arg-type]
                setattr(backbone.get_submodule(parent), own, changed)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to the backbone's maps."""
        maps: list[Tensor] = self.backbone(images)
        return maps


def _strides_of_convolutions(backbone: nn.Module) -> dict[str, int]:
    """The stride of the map after each 3x3 convolution, by name, from a run without memory."""
    found: dict[str, int] = {}
    handles = []
    for name, module in backbone.named_modules():
        if type(module) is nn.Conv2d and module.kernel_size == _KERNEL:

            def note(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                found[name] = round(_MEASURED / output.shape[-1])

            handles.append(module.register_forward_hook(note))
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    empty = {name: torch.empty_like(value, device="meta") for name, value in tensors.items()}
    image = torch.empty(1, 3, _MEASURED, _MEASURED, device="meta")
    backbone.eval()
    with torch.no_grad():
        functional_call(backbone, empty, (image,))
    backbone.train()
    for handle in handles:
        handle.remove()
    return found
