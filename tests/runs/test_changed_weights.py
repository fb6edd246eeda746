"""Weights that are changed in a checkpoint."""

import os

import torch

from detkit.runs.changed_weights import change_weights


def checkpoint(folder):
    path = folder / "best.ckpt"
    state = {"detector.a": torch.zeros(2), "detector.b": torch.ones(1)}
    torch.save({"state_dict": state, "optimizer_states": [{"lr": 0.1}]}, path)
    return path


def test_only_the_named_tensors_change(tmp_path):
    path = checkpoint(tmp_path)
    change_weights(path, {"a": torch.tensor([1.0, 2])})
    content = torch.load(path, weights_only=True)
    assert content["optimizer_states"] == [{"lr": 0.1}]
    assert content["state_dict"]["detector.a"].tolist() == [1, 2]
    assert content["state_dict"]["detector.b"].tolist() == [1]
    assert os.listdir(tmp_path) == ["best.ckpt"]


def test_a_second_name_of_the_file_keeps_its_content(tmp_path):
    path = checkpoint(tmp_path)
    os.link(path, tmp_path / "last.ckpt")
    change_weights(path, {"a": torch.tensor([1.0, 2])})
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert state["detector.a"].tolist() == [0, 0]
