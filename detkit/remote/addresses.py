"""Detectors that live elsewhere: `hf://OWNER/NAME` and `wandb://ENTITY/PROJECT/NAME:ALIAS`."""

from __future__ import annotations

from detkit.remote.hub_model import HubModel, hub_model
from detkit.remote.wandb_model import WandbModel, wandb_model

HUB, WANDB = "hf://", "wandb://"


def is_remote(source: str) -> bool:
    """Whether a source is an address rather than a path."""
    return source.startswith((HUB, WANDB))


def remote_model(address: str, key: str) -> HubModel | WandbModel:
    """The model at an address.

    Args:
        address: Begins with `hf://` or `wandb://`.
        key: The configuration key that holds it, for messages.

    Raises:
        UserError: The address is incomplete.
    """
    return hub_model(address, key) if address.startswith(HUB) else wandb_model(address, key)


def local_source(source: str, key: str) -> str:
    """The path of a source; a model that lives elsewhere is downloaded unless the cache has it.

    Args:
        source: A path or an address.
        key: The configuration key that holds it, for messages.

    Raises:
        UserError: The model cannot be downloaded, or holds no detector.
    """
    return str(remote_model(source, key).fetch(f"{key}={source}")) if is_remote(source) else source
