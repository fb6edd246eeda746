"""Messages before a training: its device, and the advice if it is unlikely to work."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from torch import nn

from detkit.training.training_advice import (
    Setup,
    advice,
    cpu_text,
    gpu_text,
    is_pretrained,
    pretrained_word,
    setup_of,
    size_text,
)

HOPELESS = Setup(
    images=100,
    parameters=32_200_000,
    is_pretrained=False,
    steps_per_epoch=13,
    epochs=12,
    data_path="photos",
    pretrained_word="weights=imagenet",
)
USUAL = replace(HOPELESS, images=5000, steps_per_epoch=625)


# pain 57
def test_advice_for_a_large_network_from_scratch_on_few_images():
    assert advice(HOPELESS) == [
        "THIS TRAINING IS UNLIKELY TO WORK: 32.2 M parameters start from random weights, with "
        "only 100 training images. Add weights=imagenet to start from "
        "pretrained weights, or fine-tune a small network: detkit train experiment=finetune "
        "data.path=photos"
    ]
    (text,) = advice(replace(HOPELESS, pretrained_word=None, data_path=None, images=1))
    assert "only 1 training image. Instead, train a small network" in text
    assert text.endswith("detkit train experiment=demo")


@pytest.mark.parametrize(
    "usual",
    [
        USUAL,
        replace(HOPELESS, is_pretrained=True, epochs=42),
        replace(HOPELESS, parameters=3_500_000, epochs=100),
        replace(HOPELESS, is_trial=True),
    ],
    ids=["many images", "pretrained", "small", "trial"],
)
def test_usual_trainings_get_no_advice(usual):
    assert advice(usual) == []


def test_advice_to_take_more_steps_if_steps_limit_the_training():
    (text,) = advice(replace(USUAL, epochs=0.1, steps_end_it=True))
    assert text.endswith("are usual. Set trainer.max_steps=2000 instead.")


def test_a_short_training_gets_the_number_of_epochs_it_needs():
    (scratch,) = advice(replace(USUAL, steps_per_epoch=50))
    assert scratch == (
        "THIS TRAINING IS SHORT: 600 optimizer steps from random weights; 1,000 or more are "
        "usual. Add trainer.max_epochs=40 for about 2,000 steps."
    )
    (tuned,) = advice(replace(USUAL, steps_per_epoch=1, epochs=1, is_pretrained=True))
    assert "1 optimizer step from pretrained weights; 200 or more" in tuned


@pytest.mark.parametrize(
    ("backbone", "weights", "pretrained", "word"),
    [
        ({"weights": None}, None, False, "weights=imagenet"),
        ({"weights": "imagenet"}, None, True, "weights=imagenet"),
        ({"pretrained": True}, None, True, "weights=imagenet"),
        ({"pretrained": False, "checkpoint": "f"}, None, True, "weights=imagenet"),
        ({"weights": None}, "runs/other", True, "weights=imagenet"),
        ({"name": "plain"}, None, False, None),
    ],
)
def test_pretrained_weights_are_recognised(backbone, weights, pretrained, word):
    model = {"backbone": backbone, "head": {"class_loss": {"weights": [1.0, 2.0]}}}
    assert is_pretrained({"model": model, "weights": weights}) is pretrained
    assert pretrained_word(model) == word


def test_a_setup_is_read_from_the_configuration():
    config = {
        "model": {"backbone": {"weights": None}},
        "weights": None,
        "data": {"path": "photos", "reader": {"name": "auto"}, "limit_images": None},
        "trainer": {"accumulate_grad_batches": 2, "max_epochs": 3, "limit_train_batches": None},
    }
    setup = setup_of(config, 100, nn.Linear(3, 1), 13)
    assert (setup.steps, setup.parameters, setup.data_path) == (21, 4, "photos")
    assert not setup.is_trial
    limited = {**config, "trainer": {**config["trainer"], "limit_train_batches": 2}}
    assert setup_of(limited, 100, nn.Linear(3, 1), 13).is_trial


def test_the_length_of_a_training_is_reported_in_steps():
    trainer = SimpleNamespace(
        num_training_batches=13, accumulate_grad_batches=2, max_epochs=3, callbacks=[]
    )
    assert size_text(trainer) == "3 epochs of 13 batches (7 optimizer steps), 21 steps in all,"
    trainer = SimpleNamespace(
        num_training_batches=1, accumulate_grad_batches=1, max_epochs=1, callbacks=[]
    )
    assert size_text(trainer) == "1 epoch of 1 batch, 1 step in all,"


CPU = {"threads": 2, "gpus": 0, "has_driver": False, "built_for_gpus": True, "hidden": None}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "on the CPU (2 threads); PyTorch finds no GPU"),
        ({"gpus": 2}, "PyTorch finds 2 GPUs: trainer.accelerator=gpu uses them"),
        ({"gpus": 1}, "PyTorch finds 1 GPU: trainer.accelerator=gpu uses it"),
        ({"has_driver": True, "built_for_gpus": False}, "is built for CPUs only: install a CUDA"),
        ({"has_driver": True, "hidden": ""}, "CUDA_VISIBLE_DEVICES='' hides this machine's GPU"),
        ({"has_driver": True, "hidden": "0"}, "but PyTorch cannot use its GPU"),
    ],
)
def test_training_on_the_cpu_is_explained(changes, text):
    assert text in cpu_text(**{**CPU, **changes})


def test_unused_gpus_are_named():
    assert gpu_text("H200", 1, 1) == "on 1 GPU (H200)"
    assert gpu_text("H200", 1, 4) == (
        "on 1 GPU (H200); this machine has 4, trainer.devices=4 uses all of them"
    )
