"""Head pages made small."""

from detkit import registry
from detkit.config.pages import filled
from detkit.config.signatures import arguments


def shallow(name):
    """The layers of a head page, with one convolution where their number can be set."""
    layers = filled("head", name)["layers"]
    return {"convs": 1} if "convs" in arguments(registry.get("layers", layers["name"])) else {}
