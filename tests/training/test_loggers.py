import importlib.util
import math

import pytest
import torch
from PIL import Image
from training_fakes import RECORD, Batches, batches, cpu_trainer, tiny_module

from detkit.errors import UserError
from detkit.evaluation.detection_analysis import analyse
from detkit.evaluation.image_results import CollectedImages
from detkit.runs.metrics_logger import MetricsFile
from detkit.structures import Detections, Target
from detkit.training.callbacks.pictures import Pictures
from detkit.training.fit import closing_loggers, fit
from detkit.training.logger_content import TrainingResult, class_scores, flattened, log_result
from detkit.training.loggers import TensorBoard, Wandb

NAMES = RECORD["class_names"]
CONFIG = {"optimizer": {"name": "sgd", "learning_rate": 0.25}, "head": {"sizes": [1, 2]}}
NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def test_wandb_is_offline_unless_asked(tmp_path):
    logger = Wandb(run_folder=str(tmp_path))
    assert logger._wandb_init["mode"] == "offline"
    assert logger.save_dir == str(tmp_path)


def test_wandb_run_continues_when_resumed(tmp_path):
    # pain 6
    first, resumed = (Wandb(run_folder=str(tmp_path)) for _ in range(2))
    other = Wandb(run_folder=str(tmp_path / "other"))
    assert first.version == resumed.version
    assert first.version != other.version
    assert Wandb(run_folder=str(tmp_path), run_id="mine").version == "mine"


def test_wandb_is_finished_even_when_training_fails(tmp_path):
    class Failing:
        def __len__(self):
            return 1

        def __iter__(self):
            raise OSError("disk gone")

    logger = Wandb(run_folder=str(tmp_path), mode="disabled")
    trainer = cpu_trainer(tmp_path, loggers=[logger])
    with pytest.raises(OSError, match="disk gone"), closing_loggers(trainer):
        fit(tiny_module(), trainer, Failing())
    assert logger._experiment is None


def test_disabled_wandb_trains_and_closes(tmp_path):
    logger = Wandb(run_folder=str(tmp_path), mode="disabled")
    trainer = cpu_trainer(tmp_path, max_epochs=1, loggers=[logger])
    with closing_loggers(trainer):
        fit(tiny_module(), trainer, batches(2))
    assert logger._experiment is None


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """The content of TensorBoard's files of one run."""
    pytest.importorskip("tensorboard", reason="an extra of detkit")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path_factory.mktemp("tensorboard")
    pictures = Pictures(run_folder=str(folder), class_names=NAMES, count=1)
    logger = TensorBoard(run_folder=str(folder))
    trainer = cpu_trainer(folder, callbacks=[pictures], loggers=[logger])
    module = tiny_module(checkpoint_record={**RECORD, "config": CONFIG})
    Image.new("RGB", (4, 2)).save(folder / "errors.png")
    seen = CollectedImages(NAMES)
    seen.update([1], [NOTHING], [Target.empty()])
    numbers = {"AP": 0.5, "AP/disc": 0.25, "AP/square": math.nan}
    with closing_loggers(trainer):
        fit(module, trainer, batches(2), Batches(3))
        analysis, file = analyse(seen), folder / "errors.png"
        result = TrainingResult(numbers, NAMES, analysis, folder / "best.ckpt", 2, [file])
        log_result(trainer, result)
    assert {path.parent.name for path in folder.rglob("events.*")} == {"tensorboard"}
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    return accumulator.Reload()


def test_tensorboard_has_losses_scores_and_best_values(events):
    scalars = {tag: [event.value for event in events.Scalars(tag)] for tag in events.scalars.Keys()}
    assert len(scalars["loss/box"]) == 2
    assert len(scalars["val/AP/disc"]) == 2
    assert (scalars["best/AP"], scalars["best/AP/disc"], scalars["best/epoch"]) == (
        [0.5],
        [0.25],
        [2],
    )
    assert "best/AP/square" not in scalars


def test_tensorboard_counts_epochs_from_1(events):
    assert {event.value for event in events.Scalars("epoch")} == {1, 2}


# pain 55
def test_tensorboard_has_the_configuration_as_text_and_as_hyperparameters(events):
    (text,) = events.Tensors("configuration/text_summary")
    assert "    optimizer:\n      name: sgd" in text.tensor_proto.string_val[0].decode()
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = HParamsPluginData.FromString(
        events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    )
    values = content.session_start_info.hparams
    assert values["optimizer.learning_rate"].number_value == 0.25
    assert values["head.sizes"].string_value == "[1, 2]"


def test_tensorboard_has_validation_pictures_and_the_drawn_analysis(events):
    assert events.images.Keys() == ["validation/01", "analysis/errors"]
    assert len(events.Images("validation/01")) == 2
    assert events.Images("analysis/errors")[0].width == 4


@pytest.mark.parametrize(
    ("logger", "hint"), [(TensorBoard, r"detkit\[tensorboard\]"), (Wandb, "wandb")]
)
def test_missing_package_is_named_with_its_command(tmp_path, monkeypatch, logger, hint):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"not installed: run pip install '{hint}'"):
        logger(run_folder=str(tmp_path))


def test_numbers_of_classes_and_sizes_are_distinguished():
    numbers = {"AP": 0.5, "AP_small": 0.1, "AP/disc": 0.5, "AP50/disc": 0.75, "AP/square": math.nan}
    scores = class_scores(numbers, NAMES)
    assert scores.columns == ["AP", "AP50"]
    assert scores.rows == {"disc": [0.5, 0.75], "square": [None, None]}


def test_a_configuration_is_flat_by_path():
    config = {"a": {"b": 1, "c": None}, "d": [1, 2], "e": True, "f": {}}
    assert flattened(config) == {"a.b": 1, "a.c": "None", "d": "[1, 2]", "e": True}


def test_other_loggers_get_the_configuration_too(tmp_path):
    class Mine(MetricsFile):
        def log_hyperparams(self, params, *args, **kwargs):
            self.params = params

    mine = Mine(run_folder=str(tmp_path / "mine"))
    fit(tiny_module(), cpu_trainer(tmp_path, loggers=[mine]), batches(2))
    assert mine.params == RECORD["config"]
