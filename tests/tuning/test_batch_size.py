"""`data.batch_size=auto` becomes a number by a rule, and nothing else of the run changes."""

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from tiny_run import TINY

import detkit
from detkit import assembly
from detkit.api import training
from detkit.cli.main import main
from detkit.config.compose import compose
from detkit.config.sweep_options import DevicePoolOptions
from detkit.errors import ConfigError, UserError
from detkit.sweeps.jobs import job_checks
from detkit.tuning import batch_size
from detkit.tuning.batch_size import decide, machine_memory, settle, with_batch_size
from detkit.tuning.gpu_trial import largest_images

GIB = 2**30
WORDS = [word for word in TINY if not word.startswith("data.batch_size")]
AUTO = [*WORDS, "data.batch_size=auto"]


def config(devices=1, accumulated=1, **optimizer):
    return {
        "data": {"batch_size": "auto"},
        "trainer": {
            "devices": devices,
            "accelerator": "cpu",
            "accumulate_grad_batches": accumulated,
        },
        "optimizer": {"name": "sgd", **optimizer},
        "plugins": [],
    }


@pytest.fixture
def machine(monkeypatch):
    """A machine with 16 GiB, a data set of some images, and a network that needs some memory."""

    def prepare(images=1000, fixed=1, per_image=0.1):
        def estimate(config):
            total = (fixed + per_image * config["data"]["batch_size"]) * GIB
            return SimpleNamespace(memory=SimpleNamespace(total=total))

        data = SimpleNamespace(train_index=range(images))
        monkeypatch.setattr(batch_size.assembly, "build_data", lambda config: data)
        monkeypatch.setattr(batch_size, "Estimator", lambda: estimate)
        monkeypatch.setattr(batch_size, "machine_memory", lambda: 16 * GIB)

    return prepare


@pytest.mark.parametrize(
    ("facts", "settings", "images", "reason"),
    [
        ({}, {}, 8, "larger batches are no faster"),
        ({"images": 45}, {}, 4, "an epoch of 45 images has 10 steps or more"),
        ({"images": 3}, {}, 1, "10 steps or more"),
        ({}, {"devices": 2}, 8, "no faster"),
        ({"images": 100}, {"devices": 2, "accumulated": 2}, 2, "10 steps or more"),
        ({"per_image": 1.5}, {}, 4, "more would take over half of 16.0 GiB"),
        ({"per_image": 1.5}, {"devices": 2}, 2, "more would take over half of 16.0 GiB"),
        ({"fixed": 50}, {}, 1, "more would take over half"),
    ],
)
def test_the_rule_on_a_cpu(machine, facts, settings, images, reason):
    machine(**facts)
    size = decide(config(**settings))
    assert size.images == images
    assert reason in size.reason


def test_a_container_has_less_memory_than_its_machine(monkeypatch, tmp_path):
    limits = [tmp_path / "memory.max", tmp_path / "none"]
    monkeypatch.setattr(batch_size, "_CGROUP_LIMITS", limits)
    limits[0].write_text("max\n")
    whole = machine_memory()
    limits[0].write_text(f"{whole // 2}\n")
    assert machine_memory() == whole // 2


@pytest.fixture
def gpus(machine, monkeypatch):
    """Two pretended GPUs with room for 40 and 24 images."""
    machine()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(batch_size, "visible_gpus", lambda: ["0", "1"])
    room = {"0": (40, "GPU 0"), "1": (24, "GPU 1")}

    def measured(config, most, environment):
        images, name = room[environment["CUDA_VISIBLE_DEVICES"]]
        return min(images, most), name

    monkeypatch.setattr(batch_size, "measured", measured)
    return room


def on_gpu(**settings):
    automatic = config(**settings)
    return {**automatic, "trainer": {**automatic["trainer"], "accelerator": "auto"}}


def test_the_smallest_of_all_gpus_counts(gpus):
    assert decide(on_gpu()) == (40, "the most that leave 10% of GPU 0 free")
    assert decide(on_gpu(devices=2)) == (24, "the most that leave 10% of GPU 1 free")
    assert decide(on_gpu(devices=2, accumulated=5)).images == 10  # 1,000 images, ten steps


def test_not_even_one_image_is_one_error(gpus):
    gpus["0"] = (0, "GPU 0")
    with pytest.raises(UserError, match="not even one image fits GPU 0: lower image_size"):
        decide(on_gpu())


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        ({"learning_rate": 0.1}, "optimizer.learning_rate stays 0.1"),
        ({"learning_rate": 0.1, "reference_batch": 16}, "the learning rate becomes 0.05 "),
    ],
)
def test_one_line_says_the_number_and_the_learning_rate(machine, caplog, optimizer, text):
    machine()
    with caplog.at_level(logging.INFO, logger="detkit.tuning"):
        decided = with_batch_size(config(**optimizer))
    assert decided["data"]["batch_size"] == 8
    assert "data.batch_size=auto: 8 images, as larger batches" in caplog.text
    assert text in caplog.text


@pytest.fixture(scope="module")
def automatic():
    return compose("train", AUTO)


def test_the_frozen_configuration_is_the_one_with_the_number_typed(
    automatic, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_train_here", lambda folder, is_new: None)
    monkeypatch.setattr(training, "_refuse_unfit", lambda config: None)
    monkeypatch.setattr(batch_size, "decide", lambda config: batch_size.BatchSize(3, "it fits"))
    typed = {**automatic, "data": {**automatic["data"], "batch_size": 3}}
    texts = []
    for values in (automatic, typed):
        training.start({**values, "run_folder": "run"}, in_process=True)
        texts.append(Path("run/config.yaml").read_text())
    assert texts[0] == texts[1]
    assert "batch_size: 3\n" in texts[0]


def test_a_job_of_a_sweep_settles_its_own_configuration(automatic, monkeypatch, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(automatic))
    monkeypatch.setattr(batch_size, "decide", lambda config: batch_size.BatchSize(3, "it fits"))
    settle(tmp_path)
    content = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert content["data"]["batch_size"] == 3
    assert content["model"] == automatic["model"]
    assert content["run_folder"] == str(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["benchmark"],
        pytest.param(["config", "schedule"], marks=pytest.mark.slow),
        pytest.param(["config", "optimizer.reference_batch=16"], marks=pytest.mark.slow),
    ],
)
def test_commands_that_start_no_training_ask_for_a_number(words, capsys):
    assert main([*words, "data.batch_size=auto"]) == 2
    assert "data.batch_size: auto is decided when `detkit train`" in capsys.readouterr().err


def test_runs_that_other_programs_start_ask_for_a_number(automatic):
    with pytest.raises(ConfigError, match="other programs start this run"):
        training.freeze_for_others(automatic, again=False)


def test_jobs_that_share_a_gpu_ask_for_a_number(automatic, monkeypatch):
    monkeypatch.setattr(job_checks, "visible_gpus", lambda: ["0"])
    with pytest.raises(ConfigError, match="jobs_per_device=2: each job would take nearly all"):
        job_checks.pool_for(DevicePoolOptions(jobs_per_device=2), [automatic])


@pytest.mark.slow
def test_a_training_is_bit_equal_to_one_with_the_number_typed(tmp_path, monkeypatch, blank_figures):
    monkeypatch.chdir(tmp_path)
    more = ["data.reader.train_images=25", "trainer.max_epochs=1"]
    states = []
    for words in (AUTO, [*WORDS, "data.batch_size=2"]):
        run = detkit.train([*words, *more, f"run_folder=run{len(states)}"])
        assert run.config["data"]["batch_size"] == 2
        content = torch.load(run.folder / "checkpoints/last.ckpt", weights_only=True)
        metrics = (run.folder / "metrics.csv").read_text().splitlines()
        states.append((content["state_dict"], content["optimizer_states"], len(metrics)))
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


@pytest.mark.slow
def test_the_most_demanding_images_are_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = assembly.build_data(compose("train", [*TINY, "data.multi_scale=[0.5,1.5]"]))
    samples = largest_images(data)
    objects = [len(sample.target) for sample in samples]
    assert {sample.size for sample in samples} == {(144, 144)}
    assert objects[0] == max(objects) == int(np.diff(data.train_index.object_offsets).max())


@pytest.mark.slow
def test_the_measuring_program_runs_real_training_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = compose("train", [*AUTO, "data.multi_scale=[0.5,1]", "augmentation=mosaic"])
    images, name = batch_size.measured(values, 3, {})
    assert images == 3  # a CPU is never full
    assert name
    assert [path.name for path in tmp_path.iterdir()] == ["datasets"]
