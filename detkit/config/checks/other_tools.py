"""Keys of other detection tools, each with the equivalent key here.

They only serve as hints in error messages; they set nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Hint(NamedTuple):
    """The equivalent of another tool's key.

    Attributes:
        keys: Equivalent keys; the message names the first one whose block exists.
        example: A value for the key; None uses the received value.
        about: Further explanation.
    """

    keys: tuple[str, ...]
    example: str | None = None
    about: str = ""


_RATE = Hint(("optimizer.learning_rate",))
_EPOCHS = Hint(("trainer.max_epochs",))
_BATCH = Hint(("data.batch_size", "batch_size"))
_SIZE = Hint(("image_size",))
_WORKERS = Hint(("data.workers",))
_FREEZE = Hint(
    ("freeze",), "backbone", "Stages and patterns work too: freeze=[stem,stage1]; see detkit train."
)
_PATIENCE = Hint(
    ("callbacks.early_stop",),
    "{{name: early_stop, patience: {value}}}",
    "Quote it for the shell; patience counts validations.",
)
_RESUME = Hint(("ckpt",), "RUN", "RUN is the run's folder.")
_CHECKPOINT = Hint(("ckpt",))
_START = Hint(("weights",), "RUN_OR_FILE", "It starts a new run; ckpt=RUN resumes one.")
_DEVICE = Hint(
    ("trainer.accelerator", "device"),
    "{device}",
    "CUDA_VISIBLE_DEVICES selects GPUs, trainer.devices their number.",
)
_DEVICES = Hint(("trainer.devices", "device"), None, "CUDA_VISIBLE_DEVICES selects GPUs.")
_OPTIMIZER = Hint(("optimizer",), "adamw", "`detkit list optimizers` shows all.")
_SCHEDULE = Hint(("scheduler",), "cosine", "`detkit list schedulers` shows all.")
_IOU = Hint(
    ("model.head.postprocess.iou_threshold",),
    None,
    "For a two-stage model, write model.roi_head.postprocess.iou_threshold.",
)
_SCORE = Hint(
    ("score_threshold", "model.head.postprocess.score_threshold"),
    None,
    "For a two-stage model, write model.roi_head.postprocess.score_threshold.",
)
_MOST = Hint(
    ("model.head.postprocess.max_detections",),
    None,
    "For a two-stage model, write model.roi_head.postprocess.max_detections.",
)
_PRECISION = Hint(("trainer.precision",), "bf16", "16 also scales the loss; the default is 32.")
_SEED = Hint(("seed",))
_NAME = Hint(("run_name",))
_FOLDER = Hint(("run_folder", "output"))
_DECAY = Hint(("optimizer.weight_decay",))
_WARMUP = Hint(("scheduler.warmup_steps",), "500", "The unit is steps, not epochs.")
_ACCUMULATE = Hint(("trainer.accumulate_grad_batches",))
_CLIP = Hint(("trainer.gradient_clip_norm",))
_VALIDATE = Hint(("trainer.validate_every",), None, "The unit is epochs.")
_DATA = Hint(("data.path",), None, "detkit reads the format and the class names from the folder.")
_MINUTES = Hint(("trainer.max_minutes",), "60", "The unit is minutes.")
_AVERAGE = Hint(("callbacks",), "average")
_LOGGER = Hint(("logger",), "{word}")
_MOSAIC = Hint(("augmentation",), "mosaic", "This page uses mosaic and mixup.")
_IMAGES = Hint(("data.limit_images",), "100", "The unit is images.")

_WORDS: dict[Hint, str] = {
    _RATE: "lr lr0 learning_rate base_lr init_lr initial_lr",
    _EPOCHS: "epochs epoch max_epochs max_epoch num_epochs n_epochs num_train_epochs",
    _BATCH: "batch batch_size batchsize bs train_batch_size per_device_train_batch_size",
    _SIZE: "imgsz img_size imgsize img image_sz input_size img_scale resolution size",
    _WORKERS: "workers num_workers n_workers nw",
    _FREEZE: "frozen freeze_backbone freeze_layers frozen_stages",
    _PATIENCE: "patience early_stopping early_stop early_stopping_patience",
    _RESUME: "resume resume_from resume_from_checkpoint checkpoint checkpoint_path ckpt_path",
    _CHECKPOINT: "weights model_path run",
    _START: "load_from pretrained pretrained_weights init_weights finetune",
    _DEVICE: "device accelerator",
    _DEVICES: "gpu gpus n_gpus num_gpus devices",
    _OPTIMIZER: "opt optim",
    _SCHEDULE: "lr_scheduler lr_schedule sched cos_lr",
    _IOU: "iou iou_thres iou_thr iou_threshold nms nms_iou nms_thres nms_threshold",
    _SCORE: "conf conf_thres conf_threshold score_thr score_thres confidence threshold min_score",
    _MOST: "max_det max_detections max_per_img",
    _PRECISION: "amp fp16 bf16 half mixed_precision use_amp precision",
    _SEED: "random_seed random_state manual_seed",
    _NAME: "exp_name experiment_name",
    _FOLDER: "project save_dir out_dir output_dir outdir work_dir logdir log_dir exp_dir run_dir",
    _DECAY: "weight_decay wd",
    _WARMUP: "warmup warmup_epochs warmup_iters warmup_steps warmup_ratio",
    _ACCUMULATE: "accumulate grad_accum accumulation_steps gradient_accumulation_steps accum_iter",
    _CLIP: "grad_clip clip_grad clip_grad_norm max_grad_norm gradient_clip_val clip",
    _VALIDATE: "val_interval eval_interval val_every eval_every check_val_every_n_epoch val_period",
    _DATA: "dataset dataset_path data_dir data_path data_root root_dir img_dir train_path path",
    _MINUTES: "time max_time max_hours max_minutes",
    _AVERAGE: "ema use_ema",
    _LOGGER: "wandb tensorboard mlflow csv",
    _MOSAIC: "mosaic mixup",
    _IMAGES: "fraction subset max_images limit",
}
HINTS: dict[str, Hint] = {word: hint for hint, words in _WORDS.items() for word in words.split()}


def other_word(path: tuple[str, ...], value: Any, config: Mapping[Any, Any]) -> str:
    """A sentence with the equivalent of another tool's key; empty for any other key.

    Args:
        path: Config path of an unknown key: at the root, or in a block such as `trainer`.
        value: The received value.
        config: The composed configuration.
    """
    word = path[-1].lower()
    hint = HINTS.get(word)
    if hint is None or len(path) > 2:  # noqa: PLR2004  # inside a part, its own keys fit better
        return ""
    keys = [key for key in hint.keys if _is_there(key, config) and key != ".".join(path)]
    if not keys:
        return ""
    typed = value if isinstance(value, str) else json.dumps(value)
    example = "{value}" if hint.example is None else hint.example
    device = "cpu" if "cpu" in typed else "gpu"
    example = example.format(value=typed, word=word, device=device) if "{" in example else example
    about = f" {hint.about}" if hint.about else ""
    return f" Write {keys[0]}={example}.{about}"


def _is_there(key: str, config: Mapping[Any, Any]) -> bool:
    """Whether a configuration has a key; for parts of the model, whether it has a model."""
    top, *inner = key.split(".")
    if top in ("model", "callbacks"):
        return top in config
    node: Any = config.get(top)
    for name in inner:
        if not isinstance(node, Mapping) or name not in node:
            return False
        node = node[name]
    return top in config
