"""Priors, coders, assigners, samplers, quality targets and post-processors: faults are caught."""

import torch
from faults import Faults, require_caught

from detkit.structures import IGNORED, Assignment, PaddedDetections, Priors

faults = Faults()
FORM = "priors match per cell"
MATCHES = "matches are valid"
MASKS = "masks exclude ignored priors"


@faults.add(
    "priors", "points", FORM, r"per_cell \[2, 2, 2\] and maps of .* make \d+ priors, but there are"
)
def it_counts_too_many_in_a_cell(base):
    class Part(base):
        per_cell = property(lambda self: [2] * 3, lambda self, value: None)

    return Part


@faults.add("priors", "points", FORM, "a prior has no area: represent a point by")
def points_without_area(base):
    class Part(base):
        def __call__(self, sizes, device):
            found = super().__call__(sizes, device)
            return found._replace(boxes=found.boxes[:, [0, 1, 0, 1]])

    return Part


@faults.add(
    "priors",
    "points",
    "priors are in row major order",
    "order each level by row, column, prior of the cell",
)
def cells_go_column_by_column(base):
    class Part(base):
        def __call__(self, sizes, device):
            found = super().__call__([size[::-1] for size in sizes], device)
            return Priors(found.boxes[:, [1, 0, 3, 2]], found.stride, found.level)

    return Part


@faults.add("priors", "points", "priors are cached", "computed again: cache the priors by sizes")
def nothing_is_kept(base):
    class Part(base):
        def __call__(self, sizes, device):
            self._cache.clear()
            return super().__call__(sizes, device)

    return Part


@faults.add("priors", "points", "priors are cached", "cannot be used in training")
def made_in_inference_mode(base):
    class Part(base):
        def __call__(self, sizes, device):
            key = str(sizes)
            if key not in self._cache:
                self._cache[key] = Priors(*(f * 1 for f in self._make(sizes, device)[:3]))
            return self._cache[key]

    return Part


@faults.add(
    "box_coder", "delta", "decoding inverts encoding", "decode must be the inverse of encode"
)
def decoding_is_off(base):
    class Part(base):
        def decode(self, codes, priors):
            return super().decode(codes, priors) + 1

    return Part


@faults.add("box_coder", "delta", "leading axes broadcast", "index axes from the end")
def axes_are_counted_from_the_front(base):
    class Part(base):
        def decode(self, codes, priors):
            found = super().decode(codes, priors)
            return found - found.mean(dim=0) if found.ndim > 2 else found

    return Part


@faults.add("box_coder", "delta", "empty inputs give empty outputs", "IndexError")
def boxes_are_taken_for_granted(base):
    class Part(base):
        def encode(self, boxes, priors):
            boxes.amax(dim=0)
            return super().encode(boxes, priors)

    return Part


@faults.add("box_coder", "delta", "gradients reach every code", "code gets no gradient")
def sides_are_not_learned(base):
    class Part(base):
        def decode(self, codes, priors):
            return super().decode(torch.cat([codes[..., :2], codes[..., 2:].detach()], -1), priors)

    return Part


@faults.add(
    "box_coder", "delta", "any code decodes to a finite box", "boxes that are not finite: clamp"
)
def exponents_without_limit(base):
    class Part(base):
        def decode(self, codes, priors):
            return super().decode(codes, priors) * codes[..., :1].exp()

    return Part


@faults.add(
    "box_coder", "delta", "half precision codes are decoded in float32", "torch.bfloat16, ex"
)
def boxes_in_half_precision(base):
    class Part(base):
        def decode(self, codes, priors):
            return super().decode(codes, priors).to(codes.dtype)

    return Part


@faults.add("assigner", "max_iou", MATCHES, "`uses_predictions` is None, expected True")
def it_does_not_say_what_it_uses(base):
    class Part(base):
        uses_predictions = None

    return Part


@faults.add("assigner", "max_iou", MATCHES, r"with one object matches range from .* to 1, expected")
def matches_beyond_the_objects(base):
    class Part(base):
        def __call__(self, *given):
            matched = super().__call__(*given).matched
            return Assignment(torch.where(matched >= 0, matched + 1, matched))

    return Part


@faults.add("assigner", "max_iou", MATCHES, "is .* torch.bool, expected .* torch.int64")
def a_mask_of_matches(base):
    class Part(base):
        def __call__(self, *given):
            return Assignment(super().__call__(*given).matched >= 0)

    return Part


@faults.add("assigner", "max_iou", MATCHES, "scores of matched priors are outside of 0..1")
def scores_that_are_no_shares(base):
    class Part(base):
        def __call__(self, *given):
            matched = super().__call__(*given).matched
            return Assignment(matched, torch.full(matched.shape, 2.0))

    return Part


@faults.add(
    "assigner", "max_iou", "images without objects are all background", "priors are not background"
)
def ignored_without_objects(base):
    class Part(base):
        def __call__(self, priors, scores, boxes, targets):
            matched = super().__call__(priors, scores, boxes, targets).matched
            return Assignment(torch.where(targets.mask.any(dim=1)[:, None], matched, IGNORED))

    return Part


@faults.add("assigner", "max_iou", "objects of usual size are assigned", "so it is never learned")
def small_objects_are_lost(base):
    class Part(base):
        def __call__(self, *given):
            matched = super().__call__(*given).matched
            return Assignment(torch.where(matched == 0, -1, matched))

    return Part


@faults.add("assigner", "max_iou", "assignments are deterministic", "got a different assignment")
def it_remembers_the_image_before(base):
    class Part(base):
        most = 0

        def __call__(self, priors, scores, boxes, targets):
            self.most = max(self.most, *targets.counts)
            matched = super().__call__(priors, scores, boxes, targets).matched
            return Assignment(torch.where(matched < 0, -1 - (self.most > 10), matched))

    return Part


@faults.add("assigner", "max_iou", "images of a batch are independent", "must match nothing")
def the_padding_is_matched(base):
    class Part(base):
        def __call__(self, priors, scores, boxes, targets):
            boxes_of_all = torch.where(targets.mask[..., None], targets.boxes, priors.boxes[7])
            real = targets._replace(mask=torch.ones_like(targets.mask), boxes=boxes_of_all)
            return super().__call__(priors, scores, boxes, real)

    return Part


@faults.add("assigner", "max_iou", MATCHES, "takes the objects of one image in `target`")
def the_signature_of_a_single_image(base):
    class Part(base):
        def __call__(self, priors, scores, boxes, target):
            return super().__call__(priors, scores, boxes, target)

    return Part


@faults.add("sampler", "keep_all", "ranks by is valid", "`ranks_by` is 'size', expected one")
def an_unknown_ranking(base):
    class Part(base):
        """A sampler."""

        ranks_by = "size"

    return Part


@faults.add("sampler", "keep_all", MASKS, r"ignored priors \(-2\) are selected: exclude them")
def ignored_priors_count(base):
    class Part(base):
        def __call__(self, matched, values):
            return torch.ones_like(matched, dtype=torch.bool)

    return Part


@faults.add("sampler", "keep_all", MASKS, "no background prior is selected")
def only_objects_count(base):
    class Part(base):
        def __call__(self, matched, values):
            return matched >= 0

    return Part


@faults.add(
    "sampler", "keep_all", "few and no priors are handled", "none of four priors is selected"
)
def none_of_a_few(base):
    class Part(base):
        def __call__(self, matched, values):
            return (matched != IGNORED) & (matched.shape[1] > 100)

    return Part


@faults.add(
    "sampler", "random_balanced", "sampling is reproducible from a seed", "selected other priors"
)
def a_generator_of_its_own(base):
    own = torch.Generator()

    class Part(base):
        def __call__(self, matched, values):
            return torch.rand(matched.shape, generator=own) > 0.5

    return Part


@faults.add(
    "quality_target", "centreness", "targets are between 0 and 1", "range from .*, expected 0..1"
)
def targets_above_one(base):
    class Part(base):
        def __call__(self, priors, boxes, predicted):
            return super().__call__(priors, boxes, predicted) + 1

    return Part


@faults.add(
    "quality_target",
    "centreness",
    "targets are between 0 and 1",
    "not finite: handle boxes without area",
)
def it_divides_by_an_area(base):
    class Part(base):
        def __call__(self, priors, boxes, predicted):
            area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
            return super().__call__(priors, boxes, predicted) * area / area

    return Part


@faults.add(
    "quality_target", "centreness", "exact predictions have high targets", "expected above 0.5"
)
def the_best_place_has_a_low_target(base):
    class Part(base):
        def __call__(self, priors, boxes, predicted):
            return 1 - super().__call__(priors, boxes, predicted)

    return Part


@faults.add("postprocess", "nms", "limits are readable", "`max_candidates` is 0, expected an int")
def no_candidates(base):
    class Part(base):
        max_candidates = property(lambda self: 0, lambda self, value: None)

    return Part


@faults.add("postprocess", "nms", "detections are sorted by score", "scores do not fall: sort")
def worst_first(base):
    class Part(base):
        def __call__(self, boxes, scores, labels):
            found = super().__call__(boxes, scores, labels)
            rising = torch.where(found.scores > 0, found.scores, 2).argsort(dim=1)
            return found._replace(scores=found.scores.gather(1, rising))

    return Part


@faults.add(
    "postprocess", "nms", "detections are sorted by score", "gave tuple, expected PaddedDetections"
)
def a_tuple(base):
    class Part(base):
        def __call__(self, boxes, scores, labels):
            return tuple(super().__call__(boxes, scores, labels))

    return Part


@faults.add("postprocess", "nms", "detections are sorted by score", "it modified its inputs")
def scores_are_cut_in_place(base):
    class Part(base):
        def __call__(self, boxes, scores, labels):
            return super().__call__(boxes, scores.clamp_(max=0.5), labels)

    return Part


@faults.add(
    "postprocess", "nms", "a single candidate is unchanged", "a single candidate was changed"
)
def scores_are_lowered(base):
    class Part(base):
        def __call__(self, boxes, scores, labels):
            return super().__call__(boxes, scores * 0.9, labels)

    return Part


@faults.add(
    "postprocess", "nms", "degenerate candidates give valid detections", "detections are not finite"
)
def boxes_are_divided_by_their_sides(base):
    class Part(base):
        def __call__(self, boxes, scores, labels):
            found = super().__call__(boxes, scores, labels)
            sides = found.boxes[..., 2:] - found.boxes[..., :2]
            ratios = torch.where(found.scores[..., None] > 0, sides / sides, 1)
            return found._replace(boxes=found.boxes * ratios.repeat(1, 1, 2))

    return Part


@faults.add(
    "postprocess", "nms", "the order of candidates does not matter", "in another order gave"
)
def the_first_one_says_how_many(base):
    class Part(base):
        def __call__(self, boxes, scores, labels):
            found = super().__call__(boxes, scores, labels)
            most = found.counts.clamp(max=1 + int(boxes[..., 0].flatten()[:1].sum()) % 5)
            exists = torch.arange(found.scores.shape[1]) < most[:, None]
            fields = found.boxes * exists[..., None], found.scores * exists, found.labels * exists
            return PaddedDetections(*fields, most)

    return Part


@faults.add("postprocess", "nms", "an image is detected as if alone", "other detections in a batch")
def images_suppress_each_other(base):
    class Part(base):
        def __call__(self, boxes, scores, labels):
            together = [values.flatten(0, 1)[None] for values in (boxes, scores, labels)]
            found = super().__call__(*together)
            return PaddedDetections(*(f.expand(len(boxes), *f.shape[1:]) for f in found))

    return Part


@faults.parametrize()
def test_the_fault_of_matching_is_caught(fault):
    require_caught(fault)
