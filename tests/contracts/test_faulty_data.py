"""Transforms, samplings and metrics that break a promise are caught."""

from dataclasses import replace

import numpy as np
import torch
from faults import Faults, require_caught
from torchvision.transforms.v2 import functional as F

from detkit.structures import Detections

faults = Faults()
FORM = "samples are valid"
BACK = "to image maps boxes back"
MASKS = "masks follow their boxes"
SURE = {"probability": 1.0}


@faults.add("transform", "horizontal_flip", FORM, "torch.float32 with 0 objects, expected .* uint8")
def a_float_image(base):
    class Part(base):
        def __call__(self, sample, generator):
            return sample.replace(image=sample.image / 255)

    return Part


@faults.add(
    "transform", "horizontal_flip", FORM, "boxes extend beyond the image with 1 objects: clip"
)
def boxes_leave_the_image(base):
    class Part(base):
        def __call__(self, sample, generator):
            return sample.replace(target=sample.target.with_boxes(sample.target.boxes + 100))

    return Part


@faults.add("transform", "horizontal_flip", FORM, "a box has no area .*: keep x1 < x2", **SURE)
def corners_are_not_swapped(base):
    class Part(base):
        def __call__(self, sample, generator):
            found = super().__call__(sample, generator)
            boxes = found.target.boxes[:, [2, 1, 0, 3]]
            return found.replace(target=found.target.with_boxes(boxes))

    return Part


@faults.add("transform", "horizontal_flip", FORM, "only change `image`, `target` and `to_image`")
def the_annotation_is_replaced(base):
    class Part(base):
        def __call__(self, sample, generator):
            found = super().__call__(sample, generator)
            return found.replace(original_target=replace(found.target))

    return Part


@faults.add(
    "transform", "horizontal_flip", "randomness comes from the generator", "from `generator`, or a"
)
def the_global_generator_is_used(base):
    class Part(base):
        def __call__(self, sample, generator):
            drawn = int(torch.randint(9, ()))
            return super().__call__(sample, torch.Generator().manual_seed(drawn))

    return Part


@faults.add("transform", "horizontal_flip", "samples are not modified", "modified its inputs")
def pixels_are_changed_in_place(base):
    class Part(base):
        def __call__(self, sample, generator):
            sample.image[:, 0] = 0
            return sample

    return Part


@faults.add(
    "transform", "horizontal_flip", BACK, "and to_image maps it back to .*: set to_image", **SURE
)
def the_way_back_is_forgotten(base):
    class Part(base):
        def __call__(self, sample, generator):
            return super().__call__(sample, generator).replace(to_image=sample.to_image)

    return Part


@faults.add("transform", "resize_exact", BACK, "and to_image maps it back to")
def boxes_are_not_resized(base):
    class Part(base):
        def __call__(self, sample, generator):
            image = F.resize_image(sample.image, [120, 160])
            matrix = torch.diag(torch.tensor([2.0, 2, 1], dtype=torch.float64))
            return sample.replace(image=image, to_image=matrix @ sample.to_image)

    return Part


@faults.add("transform", "horizontal_flip", MASKS, "pass `with_boxes` the 3x3 matrix of", **SURE)
def masks_stay_where_they_were(base):
    class Part(base):
        def __call__(self, sample, generator):
            found = super().__call__(sample, generator)
            outlines = sample.target.outlines
            return found.replace(target=replace(found.target, outlines=outlines))

    return Part


@faults.add("transform", "horizontal_flip", MASKS, "lose their masks: change `target` with", **SURE)
def masks_are_dropped(base):
    class Part(base):
        def __call__(self, sample, generator):
            found = super().__call__(sample, generator)
            return found.replace(target=found.target.with_boxes(found.target.boxes))

    return Part


@faults.add(
    "sampling", "repeat_factor", "shares are finite and not negative", r"\(5,\) float32, expected"
)
def shares_in_float32(base):
    class Part(base):
        def __call__(self, index):
            return super().__call__(index).astype(np.float32)

    return Part


@faults.add(
    "sampling",
    "repeat_factor",
    "shares are finite and not negative",
    "with no objects an epoch contains no im",
)
def images_without_objects_never_come(base):
    class Part(base):
        def __call__(self, index):
            return super().__call__(index) * (np.diff(index.object_offsets) > 0)

    return Part


@faults.add(
    "sampling", "repeat_factor", "shares are finite and not negative", "draw no random numbers"
)
def random_shares(base):
    class Part(base):
        def __call__(self, index):
            return np.random.default_rng().random(len(index))

    return Part


@faults.add("metric", "voc", "it has all members", "it lacks state, merge")
def members_are_missing(base):
    class Part:
        """A metric."""

        meanings, update, compute, reset = {}, sorted, dict, sorted

        def __init__(self) -> None:
            """Nothing to do."""

    return Part


@faults.add(
    "metric",
    "voc",
    "perfect detections have an ap of 1",
    "`compute` returned no 'AP', which selects",
)
def a_number_is_missing(base):
    class Part(base):
        def compute(self):
            return {"AP50": super().compute()["AP50"]}

    return Part


@faults.add(
    "metric", "voc", "perfect detections have an ap of 1", "'AP' is 100.0, expected a float in 0..1"
)
def numbers_in_percent(base):
    class Part(base):
        def compute(self):
            return {name: 100 * value for name, value in super().compute().items()}

    return Part


@faults.add(
    "metric", "voc", "perfect detections have an ap of 1", "perfect detections have AP 0.*, not 1"
)
def only_one_detection_counts(base):
    class Part(base):
        def update(self, image_ids, detections, targets):
            first = [Detections(*(value[:1] for value in found)) for found in detections]
            super().update(image_ids, first, targets)

    return Part


@faults.add(
    "metric", "voc", "images without objects are handled", "raised IndexError: .*test_faulty"
)
def objects_are_taken_for_granted(base):
    class Part(base):
        def update(self, image_ids, detections, targets):
            for target in targets:
                target.boxes[0].clone()
            super().update(image_ids, detections, targets)

    return Part


@faults.add("metric", "voc", "each image counts once", "store images by id")
def each_update_counts(base):
    class Part(base):
        calls = 0

        def update(self, image_ids, detections, targets):
            self.calls += 1
            ids = [1000 * self.calls + number for number in image_ids]
            super().update(ids, detections, targets)

    return Part


@faults.add("metric", "voc", "merged ranks equal one process", "other numbers than one process")
def other_ranks_are_left_out(base):
    class Part(base):
        def merge(self, states):
            pass

    return Part


@faults.add("metric", "voc", "reset clears all state", "`reset` does not clear the whole state")
def nothing_is_forgotten(base):
    class Part(base):
        def reset(self):
            pass

    return Part


@faults.parametrize()
def test_the_fault_of_data_is_caught(fault):
    require_caught(fault)
