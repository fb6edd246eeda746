"""Deformable convolution as a drop-in replacement for a plain one."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.ops import deform_conv2d


class DeformableConv(nn.Module):
    """A convolution with sampling offsets predicted by a second convolution.

    Paper: Deformable Convolutional Networks (Dai et al., 2017), https://arxiv.org/abs/1703.06211;
        modulated, Deformable ConvNets v2 (Zhu et al., 2019), https://arxiv.org/abs/1811.11168

    It starts as the plain convolution: offsets are zero, and the modulation is twice a sigmoid (the
    paper uses a plain sigmoid), so that it starts at 1 and keeps the scale of pretrained features.
    """

    def __init__(self, plain: nn.Conv2d, *, modulated: bool) -> None:
        """Take over the weight and bias of a convolution, under the same names.

        Args:
            plain: The convolution to replace.
            modulated: Whether each sample also has a learnt weight (version 2).
        """
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self._stride, self._padding, self._dilation = plain.stride, plain.padding, plain.dilation
        self._samples = plain.weight.shape[-2] * plain.weight.shape[-1]
        self.offset = nn.Conv2d(
            plain.in_channels,
            (3 if modulated else 2) * self._samples,
            plain.kernel_size,  # type: ignore[arg-type]
            plain.stride,  # type: ignore[arg-type]
            plain.padding,  # type: ignore[arg-type]
            plain.dilation,  # type: ignore[arg-type]
            device=plain.weight.device,
            dtype=plain.weight.dtype,
        )
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]
        self.offset.requires_grad_(plain.weight.requires_grad)  # frozen with its stage

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to the output shape of the plain convolution."""
        predicted = self.offset(features).float()
        offsets, modulation = predicted[:, : 2 * self._samples], predicted[:, 2 * self._samples :]
        output: Tensor = deform_conv2d(  # supports only float32
            features.float(),
            offsets,
            self.weight.float(),
            None if self.bias is None else self.bias.float(),
            self._stride,
            self._padding,
            self._dilation,
            2 * modulation.sigmoid() if modulation.shape[1] else None,
        )
        return output.to(features.dtype)
