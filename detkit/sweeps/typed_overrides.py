"""The overrides of a sweep as they were typed."""

from __future__ import annotations

from typing import Literal

from omegaconf import DictConfig, OmegaConf


def typed_overrides(config: DictConfig, kind: Literal["task", "hydra"]) -> list[str]:
    """Overrides of the run, or of Hydra, with `${...}` in them unresolved.

    Args:
        config: Hydra's composed configuration of the sweep.
        kind: `task` for overrides of the run, `hydra` for overrides of `hydra.*`.
    """
    overrides = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    return [str(word) for word in overrides or []]
