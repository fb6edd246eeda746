"""What makes the first prediction of a program slow is not imported for it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import detkit
from detkit import assembly
from detkit.assembly import Classes
from detkit.runs.checkpoint import PREFIX
from detkit.runs.checkpoint_record import RECORD, Record

SLOW = {"lightning", "sympy", "torch._dynamo", "torchvision"}
PROGRAM = """
import json, sys
import detkit
detkit.load(sys.argv[1], device="cpu").predict(sys.argv[2])
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture
def checkpoint(tmp_path):
    """An untrained YOLO; parts of timm import torchvision."""
    config = detkit.compose(["model=yolo_free_n", "data=shapes"]).to_dict()
    network = assembly.build_detector(config["model"], Classes(["cat"], [1]), fetch_weights=False)
    state = {f"{PREFIX}{name}": value for name, value in network.state_dict().items()}
    record = Record(config, ["cat"], [1], detkit.__version__)
    torch.save({"state_dict": state, RECORD: record.plain()}, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["photograph.jpg", "photograph.png"])
def test_first_boxes_import_neither_torchvision_nor_the_compiler(checkpoint, tmp_path, name):
    Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(tmp_path / name)
    command = [sys.executable, "-c", PROGRAM, str(checkpoint), str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert not SLOW & set(json.loads(done.stdout.splitlines()[-1]))
