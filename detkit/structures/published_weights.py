"""The description of published weights."""

from __future__ import annotations

from typing import NamedTuple

TORCHVISION_LICENCE = "BSD-3-Clause, torchvision's"


class PublishedWeights(NamedTuple):
    """Weights that a library publishes for a backbone.

    A backbone class may describe them in a static method `published_weights`, which takes the
    constructor's arguments as a mapping.

    Attributes:
        source: The address of the file, or `hf://OWNER/REPOSITORY/FILE` on the Hugging Face hub.
        licence: Its licence.
        megabytes: Its size, if the library states it.
    """

    source: str
    licence: str
    megabytes: float | None = None
