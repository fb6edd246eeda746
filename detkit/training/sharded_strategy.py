"""Lightning's data-parallel training with weights divided over the devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.optim import Optimizer

from detkit.errors import UserError
from detkit.training.callbacks.unused_parameters import unused_text
from detkit.training.module import DetectionModule
from detkit.training.sharding import divide, divided_like, gathered, unreached


class ShardedStrategy(DDPStrategy):
    """Trains as DDP does, but each rank keeps only its part of weights and optimizer state.

    Checkpoints are the same as with DDP: one file with whole tensors, in the same order. A resumed
    training loads the weights before they are divided.

    Lightning's ModelParallelStrategy is not used: it leaves out `sync_batchnorm`, numbers the
    optimizer's parameters in another order than DDP, and takes the weights out of the checkpoint
    before callbacks could read them.
    """

    def configure_ddp(self) -> None:
        """Divide the detector instead of wrapping the module."""
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        divide(self._module.detector, mesh)

    def pre_backward(self, closure_loss: Tensor) -> None:
        """Check that this rank has a gradient for each parameter, which all ranks need.

        Raises:
            UserError: With the parameters that have none.
        """
        if absent := unreached(closure_loss, self._module.detector):
            step = self._module.global_step + 1
            raise UserError(unused_text(absent, f"step {step} of rank {self.global_rank}"))

    def lightning_module_state_dict(self) -> dict[str, Tensor]:
        """Whole weights on rank 0, which saves them; nothing on the others."""
        return gathered(self._module.state_dict(), self.is_global_zero)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's state with whole tensors, on rank 0."""
        content: dict[str, Any] = super().optimizer_state(optimizer)
        state = {
            number: {**values, **gathered(_tensors(values), self.is_global_zero)}
            for number, values in content["state"].items()
        }
        return {**content, "state": state} if self.is_global_zero else {}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Load the state of the optimizers, divided like their parameters."""
        states = [
            _divided(optimizer, content)
            for optimizer, content in zip(
                self.optimizers, checkpoint["optimizer_states"], strict=True
            )
        ]
        super().load_optimizer_state_dict({**checkpoint, "optimizer_states": states})

    def teardown(self) -> None:
        """Release everything but the weights, which cannot leave their devices while divided."""
        parts = (self.cluster_environment, self.accelerator)
        for part in (*parts, self.precision_plugin, self.checkpoint_io):
            if part is not None:
                part.teardown()

    @property
    def _module(self) -> DetectionModule:
        return cast(DetectionModule, self.lightning_module)


def _divided(optimizer: Optimizer, content: dict[str, Any]) -> dict[str, Any]:
    """A saved optimizer state with each parameter-shaped tensor divided like its parameter.

    As in PyTorch, states belong to parameters by their order.
    """
    numbers = [number for group in content["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    owners = dict(zip(numbers, parameters, strict=False))  # PyTorch reports a mismatch
    state = {}
    for number, values in content["state"].items():
        owner = owners[number]
        divided = {
            name: divided_like(value, owner)
            for name, value in _tensors(values).items()
            if value.shape == owner.shape
        }
        state[number] = {**values, **divided}
    return {**content, "state": state}


def _tensors(values: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}
