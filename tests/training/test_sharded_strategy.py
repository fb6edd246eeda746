"""Runs on two devices with sharded weights equal runs without, from the command line."""

import copy
import shutil

import pytest
import torch
from test_several_devices import FAULTS, TINY, detkit, done, steps
from torch.distributed.tensor import DTensor
from training_fakes import TinyDetector, batch

from detkit.runs.metrics_logger import read_metrics
from detkit.training.sharded_strategy import ShardedStrategy
from detkit.training.sharding import divide

# Group norm, as batch norm of two images makes much of the last bit.
WORDS = [
    *(word for word in TINY if "backbone" not in word),
    *("model/backbone=resnet18", "model.backbone.norm=group", "data.validation_batch_size=1"),
    *("trainer.gradient_clip_norm=1", "trainer.accumulate_grad_batches=2", "trainer.devices=2"),
    "data.reader.train_images=16",
]
MORE = "trainer.max_epochs=3"
WAYS = {
    "ddp to ddp": ["trainer.strategy=ddp"],
    "ddp to fsdp": ["trainer.strategy=fsdp"],
    "fsdp to ddp": ["trainer.strategy=ddp"],
    "fsdp to one": ["trainer.strategy=auto", "trainer.devices=1", "data.batch_size=4"],
}


def tensors(content, path=""):
    """The content of a checkpoint without its configuration, by path."""
    if isinstance(content, torch.Tensor):
        yield path, content
    elif isinstance(content, dict | list):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        for name, value in pairs:
            yield from tensors(value, f"{path}/{name}")


def saved(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def require_equal(found, expected, tolerance):
    own, other = dict(tensors(found)), dict(tensors(expected))
    assert own.keys() == other.keys()
    for name, value in other.items():
        assert type(own[name]) is torch.Tensor
        torch.testing.assert_close(own[name], value, rtol=0, atol=tolerance, msg=name)


def require_alike(found, expected):
    """Weights to the last digits; gradients less, as one maximum of equals may be another one."""
    for part in ("state_dict", "raw_state_dict"):
        require_equal(found[part], expected[part], 1e-5)
    require_equal(found["optimizer_states"], expected["optimizer_states"], 1e-3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the runs `ddp` and `fsdp`, each with averaged weights."""
    folder = tmp_path_factory.mktemp("runs")
    for strategy in ("ddp", "fsdp"):
        words = [f"trainer.strategy={strategy}", f"run_folder={strategy}"]
        done(folder, "train", *WORDS, *words)
    return folder


@pytest.mark.slow
def test_divided_weights_train_validate_and_are_saved_as_with_ddp(runs):
    ours, theirs = (read_metrics(runs / name / "metrics.csv") for name in ("fsdp", "ddp"))
    require_alike(saved(runs / "fsdp"), saved(runs / "ddp"))
    assert saved(runs / "fsdp").keys() == saved(runs / "ddp").keys()
    assert steps(runs / "fsdp") == steps(runs / "ddp") == [0, 1, 2, 3]
    for own, other in zip(ours, theirs, strict=True):
        for name, value in other.items():
            assert float(own[name] or 0) == pytest.approx(float(value or 0), abs=1e-4), name


@pytest.mark.slow
def test_checkpoints_of_divided_weights_are_measured_and_used(runs):
    done(runs, "evaluate", "ckpt=fsdp", "output=measured", "device=cpu")
    image = next(path for path in (runs / "datasets").rglob("*") if path.suffix in (".png", ".jpg"))
    done(runs, "predict", "ckpt=fsdp", f"source={image}", "output=seen", "device=cpu")
    assert (runs / "measured/metrics.json").is_file()
    assert (runs / "seen/detections.json").is_file()


@pytest.mark.slow
def test_runs_resume_with_another_strategy(runs):
    for way, words in WAYS.items():
        shutil.copytree(runs / way.split()[0], runs / way)
        done(runs, "train", f"ckpt={runs / way}", MORE, *words)
    whole = saved(runs / "ddp to ddp")
    for way in list(WAYS)[1:]:
        require_alike(saved(runs / way), whole)


@pytest.mark.slow
def test_a_run_with_a_killed_rank_resumes_bit_identically(runs, monkeypatch):
    monkeypatch.setenv("DETKIT_PLUGINS", str(FAULTS))
    fault = ["+callbacks.fault.name=fault", "callbacks.fault.rank=1", "callbacks.fault.kind=kill"]
    words = [*WORDS, *fault, "trainer.strategy=fsdp", "run_folder=killed"]
    code, said = detkit(runs, "train", *words).wait()
    assert code == 137
    assert "error: rank 1 was ended by SIGKILL" in said.strip().splitlines()[-1]
    done(runs, "train", "ckpt=killed", "callbacks.fault=null")
    require_equal(saved(runs / "killed"), saved(runs / "fsdp"), 0)


def stepped(detector):
    """An optimizer after a step, with the detector's last parameters first."""
    groups = [{"params": list(part.parameters())} for part in (detector.head, detector.backbone)]
    optimizer = torch.optim.AdamW(groups)
    sum(detector.loss(batch(1)).values()).backward()
    optimizer.step()
    return optimizer


def test_the_state_of_an_optimizer_is_saved_whole_and_taken_back_divided(one_rank):
    detector, strategy = TinyDetector(), ShardedStrategy(parallel_devices=[torch.device("cpu")])
    whole = stepped(copy.deepcopy(detector)).state_dict()
    divide(detector, one_rank)
    optimizer = stepped(detector)
    content = strategy.optimizer_state(optimizer)
    require_equal(content, whole, 1e-7)
    assert content["param_groups"] == whole["param_groups"]

    optimizer.state.clear()
    strategy.optimizers = [optimizer]
    strategy.load_optimizer_state_dict({"optimizer_states": [whole]})
    kinds = {name: type(v) for name, v in optimizer.state[detector.head.weight].items()}
    assert kinds == {"step": torch.Tensor, "exp_avg": DTensor, "exp_avg_sq": DTensor}
    require_equal(strategy.optimizer_state(optimizer), whole, 0)
