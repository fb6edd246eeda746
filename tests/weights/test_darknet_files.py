"""Weight files of Darknet: the header, the order of the values, and clear errors."""

import struct

import pytest
import torch

from detkit.errors import UserError
from detkit.weights import darknet, darknet_layers
from detkit.weights.darknet_layers import Block, Output
from detkit.weights.source import read_source

LAYERS = [Block("backbone.a", (2, 3, 1, 1)), Output(0, 2, 1)]  # 14 numbers, and 3 for each of 5 + C
COUNT = 14 + 3 * 7


@pytest.fixture(autouse=True)
def one_page(monkeypatch):
    monkeypatch.setattr(darknet, "LAYERS", {"yolov2_tiny": LAYERS})


def write(path, count=COUNT, version=(0, 2), extra=b""):
    images = struct.pack("<Q" if version == (0, 2) else "<I", 7)
    numbers = struct.pack(f"<{count}f", *range(1, count + 1))
    path.write_bytes(struct.pack("<3i", *version, 0) + images + numbers + extra)
    return str(path)


@pytest.mark.parametrize("version", [(0, 1), (0, 2)])
def test_values_follow_the_header_in_darknets_order(tmp_path, version):
    source = read_source(write(tmp_path / "a.weights", version=version))
    tensors = source.tensors
    assert (source.page, source.logits) == ("yolov2_tiny", 2)
    assert tensors["backbone.a.norm.bias"].tolist() == [1, 2]
    assert tensors["backbone.a.norm.running_var"].tolist() == [7, 8]
    assert tensors["backbone.a.conv.weight"].flatten().tolist() == [9, 10, 11, 12, 13, 14]
    assert tensors["head.layers.box_layers.0.bias"].tolist() == [15, 16, 17, 18]
    assert tensors["head.layers.quality_layers.0.bias"].tolist() == [19]
    assert tensors["head.layers.class_layers.0.weight"].flatten().tolist() == [32, 33, 34, 35]


def test_norms_divide_as_in_darknet(tmp_path):
    tensors = read_source(write(tmp_path / "a.weights")).tensors
    ours = (
        tensors["backbone.a.norm.weight"] / (tensors["backbone.a.norm.running_var"] + 1e-5).sqrt()
    )
    torch.testing.assert_close(
        ours, torch.tensor([3.0, 4.0]) / (torch.tensor([7.0, 8]).sqrt() + 1e-6)
    )


@pytest.mark.parametrize("count", [COUNT - 1, COUNT + 1, 14])
def test_another_length_is_one_clear_error(tmp_path, count):
    with pytest.raises(UserError, match=f"holds {count} numbers, the length of no Darknet network"):
        read_source(write(tmp_path / "a.weights", count))


def test_a_part_of_a_number_is_refused(tmp_path):
    with pytest.raises(UserError, match="no whole number of float32 values"):
        read_source(write(tmp_path / "a.weights", extra=b"\0"))


def test_a_file_without_a_header_is_refused(tmp_path):
    (tmp_path / "a.weights").write_bytes(b"\0" * 12)
    with pytest.raises(UserError, match="has 12 bytes, too few for a weight file of Darknet"):
        read_source(str(tmp_path / "a.weights"))


def test_lengths_tell_the_networks_apart():
    sizes = {page: darknet.count_values(layers) for page, layers in darknet_layers.LAYERS.items()}
    lengths = {
        page: {size.fixed + size.per_value * (5 + classes) for classes in range(1, 1001)}
        for page, size in sizes.items()
    }
    assert len(set().union(*lengths.values())) == 1000 * len(sizes)
