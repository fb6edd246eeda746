"""The content of an offline W&B run, read from its file; all tests share one run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_fakes import RECORD, Batches, TinyMetric, batch, batches, cpu_trainer, tiny_module

from detkit.evaluation.detection_analysis import analyse
from detkit.evaluation.image_results import CollectedImages
from detkit.structures import Detections, Target
from detkit.training.callbacks.pictures import Pictures
from detkit.training.fit import closing_loggers, fit
from detkit.training.logger_content import TrainingResult, log_result
from detkit.training.loggers import Wandb

pytestmark = pytest.mark.slow  # W&B takes seconds to start
NAMES = RECORD["class_names"]
CONFIG = {"optimizer": {"name": "sgd", "learning_rate": 0.25}, "seed": 3}
NUMBERS = {"AP": 0.5, "AP50": 0.75, "AP/disc": 0.5, "AP/square": float("nan")}
OBJECT = Target(torch.tensor([[1.0, 2.0, 5.0, 6.0]]), torch.tensor([1]), torch.tensor([False]))
FOUND = Detections(torch.tensor([[1.0, 2.0, 5.0, 7.0]]), torch.tensor([0.5]), torch.tensor([1]))


class Scripted(TinyMetric):
    """The second of three validations is the best."""

    def __init__(self):
        super().__init__()
        self.coming = iter([0.25, 0.5, 0.375])

    def compute(self):
        return {**NUMBERS, "AP": next(self.coming)}


def result(folder):
    seen = CollectedImages(NAMES)
    seen.update([1], [FOUND], [OBJECT])
    checkpoint = folder / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    return TrainingResult(NUMBERS, NAMES, analyse(seen), checkpoint, 2, [])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("wandb")
    from wandb_file import read_finished

    folder = tmp_path_factory.mktemp("wandb")
    logger = Wandb(run_folder=str(folder), log_model="best", pictures_every=2)
    pictures = Pictures(run_folder=str(folder), class_names=NAMES, count=1)
    trainer = cpu_trainer(folder, callbacks=[pictures], loggers=[logger], max_epochs=3)
    shown = replace(batch(9), original_targets=[OBJECT] * 2)
    validation = Batches()
    validation.batches = [shown]
    module = tiny_module(metric=Scripted(), checkpoint_record={**RECORD, "config": CONFIG})
    with closing_loggers(trainer):
        fit(module, trainer, batches(2), validation)
        log_result(trainer, result(folder))
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return file.parent / "files", read_finished(file)


def values(run, kind):
    from wandb_file import items

    return items(run[1], kind)


def of_kind(run, kind):
    return [getattr(r, kind) for r in run[1] if r.WhichOneof("record_type") == kind]


# pain 55
def test_the_configuration_is_nested_by_key(run):
    config = values(run, "config")
    assert config["optimizer"] == CONFIG["optimizer"]
    assert config["seed"] == 3


# pain 55
def test_the_summary_has_the_best_values(run):
    summary = values(run, "summary")
    assert (summary["best/AP"], summary["best/AP50"], summary["best/epoch"]) == (0.5, 0.75, 2)
    assert summary["val/AP"] == {"max": 0.5, "last": 0.375}


# pain 55
def test_epochs_count_from_1_as_in_the_summary(run):
    steps = [
        {item.key or item.nested_key[0]: item.value_json for item in history.item}
        for history in of_kind(run, "history")
    ]
    epochs = {json.loads(step["epoch"]) for step in steps if "epoch" in step}
    assert epochs == {1, 2, 3}


def test_losses_and_scores_are_curves_over_the_steps(run):
    steps = [
        {item.key or item.nested_key[0]: item.value_json for item in history.item}
        for history in of_kind(run, "history")
    ]
    scores = [json.loads(step["val/AP"]) for step in steps if "val/AP" in step]
    assert scores == [0.25, 0.5, 0.375]
    assert sum("loss/box" in step for step in steps) == 3
    assert all("trainer/global_step" in step for step in steps)


def test_validation_images_have_objects_and_detections_as_overlays(run):
    files, _ = run
    history = values(run, "history")
    (boxes,) = history["validation/pictures/all_boxes"]
    (image,) = history["validation/pictures/filenames"]
    assert (files / image).is_file()
    objects = json.loads((files / boxes["ground_truth"]["path"]).read_text())
    (shown,) = objects["box_data"]
    assert shown["position"] == {"minX": 1.0, "minY": 2.0, "maxX": 5.0, "maxY": 6.0}
    assert (shown["class_id"], shown["box_caption"]) == (1, "square")
    assert objects["class_labels"] == {"0": "disc", "1": "square"}
    predictions = json.loads((files / boxes["predictions"]["path"]).read_text())
    (found,) = predictions["box_data"]
    assert found["box_caption"] == f"disc {found['scores']['score']:.2f}"


def test_images_are_uploaded_as_often_as_asked(run):
    keys = [
        {item.nested_key[0] if item.nested_key else item.key for item in history.item}
        for history in of_kind(run, "history")
    ]
    shown = [step for step in keys if any(key.startswith("validation/pictures") for key in step)]
    assert len(shown) == 2  # of three validations


def test_the_numbers_of_each_class_are_a_table(run):
    files, _ = run
    table = json.loads((files / values(run, "summary")["best/classes/path"]).read_text())
    assert table["columns"] == ["class", "AP"]
    assert table["data"] == [["disc", 0.5], ["square", None]]


def test_precision_recall_curves_are_a_chart(run):
    files, _ = run
    key = "analysis/precision_recall_curves_table/path"
    table = json.loads((files / values(run, "summary")[key]).read_text())
    assert {row[1] for row in table["data"]} == {"square"}
    assert len(table["data"]) == 101


def test_the_best_checkpoint_is_a_model_artifact_on_request(run):
    (model,) = [artifact for artifact in of_kind(run, "artifact") if artifact.type == "model"]
    assert set(model.aliases) == {"best", "latest"}
    assert [entry.path for entry in model.manifest.contents] == ["best.ckpt"]
    assert Path(model.manifest.contents[0].local_path).read_bytes() == b"weights"
    assert json.loads(model.metadata)["AP"] == 0.5
