import io
import pickle
from multiprocessing.reduction import ForkingPickler

import torch

from detkit.data.collate import Collate
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
    assert batch.targets == [first.target, second.target]
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
