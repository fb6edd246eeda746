"""Constants of a user's own pages, which interpolations refer to; misspelt keys stay errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detkit.config.interpolations import references
from detkit.errors import ConfigError

GLOBAL = "# @package _global_\n"
USED = f"""{GLOBAL}
channels: 64
block: {{half: 5, size: '${{.half}}'}}
model: {{neck: {{out_channels: '${{channels}}'}}}}
"""


def test_constants_that_are_used_are_values_and_no_keys(
    composed: Callable, write: Callable
) -> None:
    write("experiment/x", USED)
    config = composed("experiment=x")
    assert config["model"]["neck"]["out_channels"] == 64
    assert config["block"] == {"path": "here", "size": 5, "extent": [4, 5]}
    assert "channels" not in config
    assert composed("experiment=x", "channels=32")["model"]["neck"]["out_channels"] == 32


@pytest.mark.parametrize(
    "text",
    [
        "channels: 64\n",
        "titel: x\ntitle: ${titel}\n",
        "block: {siz: 4, size: '${block.siz}'}\n",
        "model: {neck: {chanels: 4, out_channels: '${.chanels}'}}\n",
    ],
    ids=["unused", "near a root key", "near a key of a block", "near a key of a part"],
)
def test_keys_that_may_be_misspelt_are_errors(
    text: str, composed: Callable, write: Callable
) -> None:
    write("experiment/x", GLOBAL + text)
    with pytest.raises(ConfigError, match="unknown key"):
        composed("experiment=x")


def test_references_are_found_in_every_form() -> None:
    config = {
        "a": "${size}",
        "b": {"c": "${.d}x${..e.f}", "list": ["${oc.select:g.h, 3}"]},
        "i": "${now:%Y} ${k[0]}",
    }
    assert references(config) == {"size", "b", "b.d", "e", "e.f", "g", "g.h", "k", "k.0"}
