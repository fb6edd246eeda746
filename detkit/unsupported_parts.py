"""Parts and arguments that users may expect, with the reason why they do not exist."""

from __future__ import annotations

_CLOSURE = (
    "L-BFGS evaluates the loss several times per step and expects the same loss each time; the "
    "loss of a mini-batch with random augmentation changes. Choose adamw or sgd."
)
_SPARSE = "SparseAdam needs sparse gradients, and detectors have none. Choose adam or adamw."
_REASONS = {
    "optimizer": {
        "lbfgs": _CLOSURE,
        "l_bfgs": _CLOSURE,
        "sparse_adam": _SPARSE,
        "sparseadam": _SPARSE,
        "asgd": (
            "ASGD trains one set of weights and averages another, which nothing would validate or "
            "save. Choose sgd with callbacks=average, which validates and saves averaged weights."
        ),
        "rprop": (
            "Rprop compares the signs of successive gradients of the whole data set, which "
            "mini-batches make random, and it ignores the schedule. Choose rmsprop."
        ),
        "muon": (
            "Muon updates matrices only, and convolutions have four dimensions. Choose adamw."
        ),
        "adafactor": (
            "Adafactor saves memory on large matrices, but in a convolution it would factor the "
            "few rows and columns of the kernel. Choose adamw."
        ),
    },
}

_SMOOTHING = {
    "quality_focal": "its target is the quality of the box, which smoothing would falsify",
    "equalisation": "it leaves out the targets of rare classes, which smoothing would raise",
    "seesaw": "its factors already set how strongly each object suppresses the other classes",
    "squared_score": "its target is an objectness, and has no classes to smooth over",
}


def unsupported(family: str, name: str) -> str:
    """A sentence with the reason why detkit has no such part; empty for any other name."""
    reason = _REASONS.get(family, {}).get(name.lower().replace("-", "_"))
    return f" {reason}" if reason else ""


def unsupported_argument(family: str, name: str, key: str) -> str:
    """A sentence with the reason why a part lacks an argument; empty for any other argument."""
    reason = _SMOOTHING.get(name) if (family, key) == ("loss", "label_smoothing") else None
    return f" Loss '{name}' has no label smoothing: {reason}." if reason else ""
