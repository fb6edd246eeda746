"""Checked configuration to built parts: the place that wires channels, strides and classes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from detkit import registry
from detkit.config.derived.image_size import KEY, as_size
from detkit.config.signatures import arguments, convert
from detkit.config.slots import resolve
from detkit.data.configured_proposals import configured_proposals
from detkit.data.detection_data import DetectionData
from detkit.data.transforms.restrictions import refuse_channels, refuse_in_evaluation
from detkit.detectors.base import DetectorModule
from detkit.detectors.spec_check import require_true_specs
from detkit.errors import ConfigError, UserError
from detkit.interfaces import Metric
from detkit.ops.input_channels import COLOURS
from detkit.ops.meta_device import on_meta
from detkit.published_values import published_values
from detkit.structures import ClassCounts

LOGGER = logging.getLogger("detkit.assembly")
Config = Mapping[str, Any]
DEFAULT_SIZE = 640  # image size if none is known
_METRIC_MEMBERS = ("meanings", "update", "state", "merge", "compute", "reset")


@dataclass(frozen=True)
class Classes:
    """The classes of a data set; stored in each checkpoint.

    Attributes:
        names: The C names, in label order.
        category_ids: The C ids of the data set's own format.
        counts: How often they occur in the training set, if known.
        are_placeholders: Whether the names are made up, because only their number is known.
    """

    names: list[str]
    category_ids: list[int]
    counts: ClassCounts | None = None
    are_placeholders: bool = False

    @classmethod
    def placeholders(cls, count: int) -> Classes:
        """Made-up classes, if only their number is known."""
        names = [f"class {number}" for number in range(count)]
        return cls(names, list(range(1, count + 1)), are_placeholders=True)

    def wiring(self) -> dict[str, Any]:
        """The arguments that assembly fills in from the classes.

        The names of placeholders are left out, so that parts accept settings for any class.
        """
        wiring = {
            "category_ids": self.category_ids,
            "num_classes": len(self.names),
            "class_counts": self.counts,
        }
        return wiring if self.are_placeholders else {**wiring, "class_names": self.names}


def build(family: str, node: Config, wiring: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Build a part and the parts inside it.

    Values flow in the order of the constructor's arguments: what a part publishes, such as the
    feature specs of a backbone, is wired into the parts after it.

    Args:
        family: The part's family.
        node: Its checked, complete configuration.
        wiring: Values for wired arguments, by name.
        path: The config path of the node, for messages.

    Raises:
        ConfigError: The part refuses an argument; the message starts with the path.
    """
    factory = registry.get(family, node["name"])
    if family == "layers":
        wiring = {"with_quality": False, **wiring}
        _require_quality_branch(factory, node["name"], wiring, path)
    if family == "proposer" or "".join(path[-1:]).startswith("refinement_"):
        wiring = {**wiring, "num_classes": 1}  # an object, of whatever class
    # Priors are small tables, and arithmetic on the meta device would import PyTorch's compiler.
    device = torch.device("cpu") if family == "priors" else nullcontext()
    try:
        with device:
            return factory(**_values(factory, node, dict(wiring), path))
    except ConfigError:
        raise
    except UserError as error:
        raise ConfigError([f"{'.'.join(path)}: {error}"]) from error
    except Exception as error:
        if not getattr(error, "__notes__", None):  # the innermost part is the one to look at
            error.add_note(f"while building {'.'.join(path)}: {family} '{node['name']}'")
        raise


def _require_quality_branch(
    factory: Any, name: str, wiring: Mapping[str, Any], path: tuple[str, ...]
) -> None:
    """Refuse layers that predict no quality in a head with a quality target."""
    if wiring["with_quality"] and "with_quality" not in arguments(factory):
        head = ".".join(path[:-1])
        able = [n for n in registry.names("layers") if _predicts_quality(n)]
        raise ConfigError(
            [
                f"{'.'.join(path)}: layers '{name}' predict no quality: set {head}.quality_target "
                f"and {head}.quality_loss to null, or choose one of {', '.join(able)}."
            ]
        )


def _predicts_quality(layers: str) -> bool:
    return "with_quality" in arguments(registry.get("layers", layers))


def _values(
    factory: Any, node: Config, wiring: dict[str, Any], path: tuple[str, ...]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for argument in arguments(factory).values():
        where = (*path, argument.name)
        if argument.wired:
            if argument.name in wiring:
                values[argument.name] = wiring[argument.name]
            elif argument.required:
                raise ConfigError([f"{'.'.join(where)}: nothing provides this value here."])
        elif argument.block is not None:
            block = resolve(argument.block)
            values[argument.name] = block(**_values(block, node[argument.name], {}, where))
        elif argument.slot is None:
            values[argument.name] = convert(argument.annotation, node[argument.name])
        elif argument.by_label:
            labelled = build_labelled(argument.slot.family, node[argument.name], wiring, where)
            values[argument.name] = labelled
        elif node[argument.name] is None:
            values[argument.name] = None
        else:
            built = build(argument.slot.family, node[argument.name], wiring, where)
            values[argument.name] = built
            wiring.update(published_values(argument.slot.family, built, argument.name, wiring))
    return values


def build_labelled(
    family: str, parts: Config, wiring: Mapping[str, Any], path: tuple[str, ...]
) -> dict[str, Any]:
    """Build parts by label, in the order of the page; shapes flow from each to the next."""
    built, wiring = {}, dict(wiring)
    for label, node in parts.items():
        if node is not None:
            built[label] = build(family, node, wiring, (*path, label))
            wiring.update(published_values(family, built[label]))
    return built


def build_detector(
    model: Config, classes: Classes, *, fetch_weights: bool = True
) -> DetectorModule:
    """A detector for the given classes.

    Args:
        model: Its checked, complete configuration.
        classes: What it detects.
        fetch_weights: Whether pretrained weights are fetched or read; not where a checkpoint will
            replace them.
    """
    wiring = {**classes.wiring(), "fetch_weights": fetch_weights}
    detector: DetectorModule = build("detector", model, wiring, ("model",))
    return detector


def refuse_misfits(model: Config) -> None:
    """Check that the parts of a model fit each other, before any data is read.

    Raises:
        ConfigError: Parts do not fit each other.
    """
    try:
        with on_meta():
            wiring = {"num_classes": 2, "fetch_weights": False}
            detector = build("detector", model, wiring, ("model",))
            if registry.plugins_of(model):  # detkit's own parts are tested
                require_true_specs(detector)
    except UserError:
        raise
    except Exception:  # a part that cannot be built without memory; building it will tell
        LOGGER.debug("the detector cannot be tried on the meta device", exc_info=True)


def describe_on_meta(model: Config, classes: Classes) -> Any:
    """The same detector without memory for its weights, to read channels and strides from."""
    with on_meta():
        return build_detector(model, classes, fetch_weights=False)


def build_transforms(augmentation: Config, split: str) -> dict[str, Any]:
    """The transforms of `train` or `evaluation`, by label, in order.

    Raises:
        ConfigError: One of `evaluation` is for training only.
    """
    built = build_labelled("transform", augmentation[split], {}, ("augmentation", split))
    if split == "evaluation":
        refuse_in_evaluation(built, augmentation[split])
    return built


def image_size(config: Config, split: str = "evaluation") -> tuple[int, int]:
    """Height and width that all images of `train` or `evaluation` are resized to, else 640."""
    return configured_size(config, split) or (DEFAULT_SIZE, DEFAULT_SIZE)


def configured_size(config: Config, split: str = "evaluation") -> tuple[int, int] | None:
    """Height and width that all images of `train` or `evaluation` are resized to.

    `image_size` where transforms with a short and a long side follow it: the largest that they
    leave. None if neither is set, as only the data shows how large the images are.
    """
    for step in reversed(config["augmentation"][split].values()):
        if step is not None and {"height", "width"} <= step.keys():
            return step["height"], step["width"]
    if config.get(KEY) is not None:
        return as_size(config[KEY])
    return None


def build_data(config: Config, *, masks: bool = False) -> DetectionData:
    """The data set of a configuration with its loaders; `masks` reads masks for any model."""
    transforms = {
        split: build_transforms(config["augmentation"], split) for split in ("train", "evaluation")
    }
    refuse_channels(transforms, config["data"].get("channels", COLOURS))
    wiring = {
        "mixing_epochs": _mixing_epochs(config),
        "pad_multiple": config["augmentation"].get("pad_multiple", 1),  # unless nothing is batched
        "proposals": configured_proposals(config),
        "train_transforms": transforms["train"],
        "evaluation_transforms": transforms["evaluation"],
        "seed": config.get("seed", 0),  # only training draws anything
        "masks": masks or needs_masks(config.get("model", {})),
    }
    return DetectionData(**_values(DetectionData, config["data"], wiring, ("data",)))


def needs_masks(model: Any) -> bool:
    """Whether a part of the model learns or predicts masks; else nobody reads them."""
    if not isinstance(model, Mapping):
        return False
    return model.get("mask_head") is not None or any(map(needs_masks, model.values()))


def _mixing_epochs(config: Config) -> float:
    """The epochs in which several images are mixed: all but the last ones."""
    epochs = config.get("trainer", {}).get("max_epochs")
    if epochs is None:  # nothing is trained, or the training decides as it goes
        return math.inf
    return float(epochs - config["augmentation"].get("close_mosaic", 0))


def build_metric(config: Config, classes: Classes) -> Metric:
    """The metric of a configuration.

    Raises:
        ConfigError: The metric does not keep its contract; better now than after a training.
    """
    wiring = {**classes.wiring(), "class_names": classes.names}  # a metric needs names
    metric = build("metric", config["metric"], wiring, ("metric",))
    if not isinstance(metric, Metric):
        lacking = [name for name in _METRIC_MEMBERS if not hasattr(metric, name)]
        raise ConfigError(
            [
                f"metric: '{config['metric']['name']}' lacks {', '.join(lacking)}, which every "
                "metric has: see Metric in detkit/interfaces.py."
            ]
        )
    return metric
