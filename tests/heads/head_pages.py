"""Head pages made small."""

from detkit import registry
from detkit.config.pages import filled
from detkit.config.signatures import arguments

CONNECTED = {"image_size": [64, 96], "local_channels": 4, "dropout": 0.0}  # layers of YOLOv1


def shallow(name):
    """The layers of a head page, with one convolution where their number can be set, and narrow."""
    layers = filled("head", name)["layers"]
    if layers["name"] == "yolov1":
        return dict(CONNECTED)
    return {"convs": 1} if "convs" in arguments(registry.get("layers", layers["name"])) else {}


def small_values(name):
    """Values that make a head page small; a head that is not dense has no `layers`."""
    node = filled("head", name)
    if is_dense(name):
        narrow = {"transfer_neck": {"out_channels": 8}} if "transfer_neck" in node else {}
        return {"layers": shallow(name), **narrow}
    if name == "cornernet":
        return {"width": 16, "pooling_width": 8}
    return {
        "width": 16,
        "feed_forward": 32,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "queries": 20,
    }


def is_dense(name):
    """Whether a page is a dense head, with priors and layers."""
    return "layers" in filled("head", name)
