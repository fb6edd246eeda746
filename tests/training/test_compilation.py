"""One graph of network, assignment and losses, few graphs, and the same losses."""

from __future__ import annotations

import logging

import pytest
import torch
from operation_pages import batch_of, detector_of, small_words
from torch._dynamo.utils import counters
from torch.testing import assert_close
from training_fakes import TinyDetector, tiny_module

from detkit.detectors.base import DetectorModule
from detkit.detectors.freezing import Freezing, freeze
from detkit.detectors.one_stage import OneStageDetector
from detkit.detectors.two_stage import TwoStageDetector
from detkit.structures import PaddedTargets, Target
from detkit.training import compilation
from detkit.training.compilation import (
    CompiledLoss,
    compilation_text,
    compiles_loss,
    padded_to_powers,
)


class Counted(DetectorModule):
    """Returns the number of objects that there is room for."""

    def loss(self, batch):
        return {"loss/room": batch.targets.mask.shape[1]}


@pytest.fixture
def compiled(monkeypatch):
    """The losses of `Counted`, for two graphs at most."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(compilation, "_MOST_GRAPHS", 2)
    return CompiledLoss(Counted())


@pytest.mark.parametrize(("count", "room"), [(0, 16), (16, 16), (17, 32), (100, 128)])
def test_objects_are_padded_to_a_power_of_two(count, room):
    boxes, labels = torch.rand(count, 4), torch.ones(count, dtype=torch.int64)
    target = Target(boxes, labels, torch.zeros(count, dtype=torch.bool))
    targets = padded_to_powers(PaddedTargets.of([target, Target.empty()]))
    assert targets.mask.shape == (2, room)
    assert targets.ignored_mask.shape == (2, 0)
    assert_close(targets.split()[0].boxes, boxes)
    assert len(targets.split()[1]) == 0


def test_ignored_objects_are_padded_too():
    target = Target(torch.rand(3, 4), torch.zeros(3, dtype=torch.int64), torch.ones(3).bool())
    targets = padded_to_powers(PaddedTargets.of([target]))
    assert targets.ignored_boxes.shape == (1, 16, 4)
    assert targets.ignored_mask.sum() == 3


def test_further_sizes_run_without_a_graph_and_one_line_says_so(compiled, caplog):
    with caplog.at_level(logging.WARNING, logger="detkit.training"):
        for side in (32, 64, 32, 96, 128, 64):
            compiled(batch_of(1, side))
    assert len(caplog.records) == 1
    assert "a batch of 96 x 96 pixels with up to 16 objects, and others" in caplog.text
    assert compiled(batch_of(1, 96))["loss/room"] == 10
    assert compiled(batch_of(1, 32))["loss/room"] == 16


def test_one_stage_detectors_compile_their_losses():
    assert OneStageDetector.compiles_loss
    assert not TwoStageDetector.compiles_loss
    assert not compiles_loss(TinyDetector())
    assert "only the network is compiled, since TinyDetector" in compilation_text(TinyDetector())


def test_detr_compiles_its_network_only_since_the_host_matches():
    detector = detector_of("detr", *small_words("detr"))
    assert not compiles_loss(detector)
    assert "only the network is compiled, since the host matches" in compilation_text(detector)


@pytest.mark.parametrize("compile_loss", [True, False])
def test_a_training_compiles_the_losses_if_told_to(compile_loss, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled.append(function))
    detector = Counted()
    tiny_module(detector=detector, compile_loss=compile_loss)
    assert compiled == ([detector.loss] if compile_loss else [])


def losses_and_gradients(detector, losses):
    sum(losses.values()).backward()
    gradients = {name: weight.grad for name, weight in detector.named_parameters()}
    detector.zero_grad(set_to_none=True)
    return {name: loss.detach() for name, loss in losses.items()}, gradients


@pytest.mark.slow
@pytest.mark.parametrize("page", ["fcos", "retinanet", "atss", "yolo_free", "yolov5", "ssdlite"])
def test_a_dense_page_is_one_graph_with_the_same_losses(page):
    torch.compiler.reset()
    counters.clear()
    detector = detector_of(page, *small_words(page)).train()
    compiled = CompiledLoss(detector, backend="aot_eager")
    for objects in (10, 3, 15):  # all fit into 16
        batch = batch_of(2, 96, objects)
        result = losses_and_gradients(detector, compiled(batch))
        expected = losses_and_gradients(detector, detector.loss(batch))
        assert_close(result, expected, rtol=1e-4, atol=1e-4)
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.slow
def test_frozen_and_unfrozen_parts_train_in_graphs_as_without():
    torch.compiler.reset()
    counters.clear()
    detector = detector_of("fcos", *small_words("fcos")).train()
    compiled, batch = CompiledLoss(detector, backend="aot_eager"), batch_of(2, 96, 5)
    for freezes in (True, False):
        if freezes:
            freeze(detector, Freezing(("backbone",)))
        else:
            detector.unfreeze()
        _, gradients = result = losses_and_gradients(detector, compiled(batch))
        assert_close(
            result, losses_and_gradients(detector, detector.loss(batch)), rtol=1e-4, atol=1e-4
        )
        frozen = {name for name, gradient in gradients.items() if gradient is None}
        backbone = {name for name in gradients if name.startswith("backbone.")}
        assert frozen == (backbone if freezes else set())
    assert not counters["graph_break"]
