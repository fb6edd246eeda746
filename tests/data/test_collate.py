import io
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from detkit.data.collate import Collate, copy_planes
from detkit.structures import Target


def test_images_are_padded_at_the_right_and_the_bottom(samples):
    first, second = samples([[0, 0, 4, 4]], 20, 40), samples([], 33, 10)
    batch = Collate(pad_multiple=32)([first, second])
    assert batch.images.shape == (2, 3, 64, 64)
    assert batch.images.dtype == torch.uint8
    assert batch.image_sizes == [(20, 40), (33, 10)]
    assert batch.images[0, :, :20, :40].equal(first.image)
    for image, (height, width) in zip(batch.images, batch.image_sizes, strict=True):
        assert image[:, height:].eq(114).all()
        assert image[:, :, width:].eq(114).all()


def test_a_batch_keeps_the_order_and_what_belongs_to_each(samples):
    first, second = samples([[0, 0, 4, 4]]).replace(image_id=5), samples([])
    batch = Collate(pad_multiple=1)([first, second])
    assert len(batch) == 2
    assert batch.image_ids == [5, 1]
    assert batch.targets.counts == (1, 0)
    assert batch.targets.boxes[0].equal(first.target.boxes)
    assert batch.size_tensor.tolist() == [[20, 40]] * 2
    assert batch.original_sizes == [(20, 40)] * 2
    assert batch.images.shape == (2, 3, 20, 40)
    assert batch.to_image.shape == (2, 3, 3)


def test_targets_travel_between_processes_as_bytes(samples):
    target = samples([[0, 0, 4, 4]]).target
    for sent in (target, Target.empty()):
        buffer = io.BytesIO()
        ForkingPickler(buffer, 4).dump(sent)
        assert b"rebuild_storage" not in buffer.getvalue()  # no file descriptor for shared memory
        received = pickle.loads(buffer.getvalue())
        assert received.boxes.equal(sent.boxes)
        assert received.labels.equal(sent.labels)
        assert received.ignored.dtype == torch.bool
        assert (received.areas is None) == (sent.areas is None)


def test_padded_targets_travel_between_processes_as_bytes(samples):
    sent = Collate(pad_multiple=1)([samples([[0, 0, 4, 4]]), samples([])]).targets
    buffer = io.BytesIO()
    ForkingPickler(buffer, 4).dump(sent)
    assert b"rebuild_storage" not in buffer.getvalue()
    received = pickle.loads(buffer.getvalue())
    assert received.counts == sent.counts
    assert all(a.equal(b) for a, b in zip(received[:5], sent[:5], strict=True))


def test_padded_targets_keep_the_sizes_of_their_images(samples):
    sizes = torch.tensor([[4.0, 4], [8, 8]])
    padded = Collate(pad_multiple=1)([samples([]), samples([])]).targets
    for sent in (padded, padded._replace(image_sizes=sizes)):
        buffer = io.BytesIO()
        ForkingPickler(buffer, 4).dump(sent)
        for received in (pickle.loads(buffer.getvalue()), sent.to("cpu"), sent.images(0, 2)):
            assert (received.image_sizes is None) == (sent.image_sizes is None)
            assert sent.image_sizes is None or received.image_sizes.equal(sizes)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 3), (33, 10)])
@pytest.mark.parametrize("interleaved", [True, False])
def test_an_image_is_copied_into_a_part_of_planes(size, interleaved):
    height, width = size
    random = torch.Generator().manual_seed(0)
    larger = torch.randint(1, 256, (height + 2, width + 3, 3), dtype=torch.uint8, generator=random)
    image = larger[1 : height + 1, 2 : width + 2].permute(2, 0, 1)
    image = image if interleaved else image.contiguous()
    canvas = torch.zeros((3, height + 4, width + 5), dtype=torch.uint8)
    copy_planes(image, canvas[:, :height, :width])
    assert canvas[:, :height, :width].equal(image)
    assert not canvas[:, height:].any()
    assert not canvas[:, :, width:].any()
