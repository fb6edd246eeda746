"""Hints for the words of other tools."""

from __future__ import annotations

import pytest

from detkit.config.checks.other_tools import HINTS
from detkit.config.compose import compose
from detkit.errors import ConfigError


def problems(words: list[str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        compose("train", words)
    return raised.value.problems


def problem(words: list[str], root: str = "train", stored: dict | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        compose(root, words, stored)
    (message,) = raised.value.problems
    return message


OTHER_WORDS = {
    "lr=0.02": "Write optimizer.learning_rate=0.02.",
    "trainer.epochs=3": "Write trainer.max_epochs=3.",
    "batch=16": "Write data.batch_size=16.",
    "imgsz=416": "Write image_size=416.",
    "img_size=[320,416]": "Write image_size=[320, 416].",
    "num_workers=4": "Write data.workers=4.",
    "freeze_layers=10": "Write freeze=backbone.",
    "patience=5": "Write callbacks.early_stop={name: early_stop, patience: 5}.",
    "resume=true": "Write ckpt=RUN.",
    "amp=true": "Write trainer.precision=bf16.",
    "optimizer.lr=0.1": "Write optimizer.learning_rate=0.1.",
    "optim=adam": "Write optimizer=adamw.",
    "random_seed=4": "Write seed=4.",
    "device=0": "Write trainer.accelerator=gpu.",
    "data_dir=photos": "Write data.path=photos.",
}


@pytest.fixture(scope="module")
def answers() -> list[str]:
    """The problems of one command with all these words."""
    return problems(list(OTHER_WORDS))


def test_a_key_is_answered_with_the_one_for_its_value():
    assert "unknown key. Write trainer.accelerator=cpu." in problem(["device=cpu"])


@pytest.mark.parametrize("word", OTHER_WORDS)
def test_a_word_of_another_tool_is_answered_with_the_key_here(word, answers):
    key = word.partition("=")[0]
    (message,) = (answer for answer in answers if answer.startswith(f"{key}:"))
    assert f"unknown key. {OTHER_WORDS[word]}" in message


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("conf=0.5", "Write score_threshold=0.5."),
        ("batch=4", "Write batch_size=4."),
        ("weights=best.pt", "Write ckpt=best.pt."),
        ("iou=0.6", "Write model.head.postprocess.iou_threshold=0.6."),
    ],
)
def test_the_answer_is_a_key_of_the_command(word, answer):
    assert answer in problem(["ckpt=X", "source=Y", word], "predict", compose("train", []))


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("epochs", "write trainer.max_epochs=..."),
        ("photos", "write data.path=photos"),
        ("best.pt", "write weights=best.pt"),
        ("optimiser", "write optimizer=..."),
    ],
)
def test_a_word_without_a_value_is_answered_with_its_key(word, answer, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "best.pt").write_text("")
    monkeypatch.chdir(tmp_path)
    assert answer in problem([word])


def test_data_set_to_a_folder_is_answered_with_data_path():
    assert "Your own images: data.path=fotos" in problem(["data=fotos"])


def test_an_optimizer_in_the_spelling_of_pytorch_is_recognised():
    assert "Did you mean 'adamw'?" in problem(["optimizer=AdamW"])


def test_keys_of_an_empty_configuration_are_not_named():
    assert all(hint.keys for hint in HINTS.values())
