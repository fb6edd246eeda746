"""Backbones, necks, poolings and box heads that break a promise are caught."""

import torch
from faults import Faults, require_caught
from torch import nn

from detkit.errors import UserError
from detkit.registry import Wired
from detkit.structures import FeatureSpec

faults = Faults()


@faults.add(
    "neck", "projection", "it can be built", r"cannot be built on any feature levels.*too few"
)
def it_refuses_everything(base):
    class Part(base):
        """A part."""

        def __init__(self, *, out_channels: int = 8) -> None:
            raise UserError("too few levels: raise model.backbone.levels")

    return Part


@faults.add("neck", "projection", "it can be built", "raised IndexError.*test_faulty_networks.py")
def it_takes_four_levels_for_granted(base):
    class Part(base):
        """A part."""

        def __init__(self, *, feature_specs: Wired[list[FeatureSpec]]) -> None:
            super().__init__(feature_specs=feature_specs)
            self.last = feature_specs[3]

    return Part


@faults.add("neck", "projection", "it describes itself", "it has no docstring")
def it_says_nothing(base):
    class Part(base):
        pass

    return Part


@faults.add(
    "neck",
    "projection",
    "maps match feature specs",
    r"has 7 channels at level 0, forward returned \d+: correct feature_specs",
)
def it_lies_about_its_channels(base):
    class Part(base):
        def __setattr__(self, key, value):
            lie = (
                [FeatureSpec(7, spec.stride) for spec in value] if key == "feature_specs" else value
            )
            super().__setattr__(key, lie)

    return Part


@faults.add("neck", "projection", "maps match feature specs", "5 levels, forward returned 4")
def a_level_too_few(base):
    class Part(base):
        def forward(self, features):
            return super().forward(features)[:-1]

    return Part


@faults.add("neck", "projection", "maps match feature specs", "has stride 8 at level 0")
def a_map_of_another_size(base):
    class Part(base):
        def forward(self, features):
            first, *others = super().forward(features)
            return [nn.functional.max_pool2d(first, 2), *others]

    return Part


@faults.add("neck", "projection", "maps match feature specs", "forward returned dict, expected")
def a_dict_of_maps(base):
    class Part(base):
        def forward(self, features):
            return dict(enumerate(super().forward(features)))

    return Part


@faults.add("neck", "projection", "maps match feature specs", "`feature_specs` is missing")
def it_publishes_nothing(base):
    class Part(base):
        def __setattr__(self, key, value):
            if key != "feature_specs":
                super().__setattr__(key, value)

    return Part


@faults.add("neck", "projection", "maps match feature specs", "size of tensor a")
def sizes_are_doubled_not_matched(base):
    class Part(base):
        def forward(self, features):
            first, second, third, *others = super().forward(features)
            second = second + nn.functional.interpolate(third, scale_factor=2)
            return [first, second, third, *others]

    return Part


@faults.add(
    "neck", "projection", "every parameter gets a gradient", "parameter 'spare' got no gradient"
)
def a_parameter_without_use(base):
    class Part(base):
        def _made(self):
            self.spare = nn.Parameter(torch.zeros(3))

        def train(self, mode=True):
            if not hasattr(self, "spare"):
                self._made()
            return super().train(mode)

    return Part


@faults.add("neck", "projection", "every parameter gets a gradient", "compute it under `torch.no_")
def nothing_is_learned(base):
    class Part(base):
        @torch.no_grad()
        def forward(self, features):
            return super().forward(features)

    return Part


@faults.add("neck", "projection", "every parameter gets a gradient", "so the backbone cannot learn")
def the_backbone_is_cut_off(base):
    class Part(base):
        def forward(self, features):
            return super().forward([level.detach() for level in features])

    return Part


@faults.add(
    "neck", "projection", "outputs are deterministic", "gave two different outputs: draw random"
)
def random_also_in_evaluation(base):
    class Part(base):
        def forward(self, features):
            return [level + torch.rand(1) for level in super().forward(features)]

    return Part


@faults.add("neck", "projection", "inputs are not modified", "modified its inputs")
def it_works_in_place(base):
    class Part(base):
        def forward(self, features):
            return super().forward([level.clamp_(min=0) for level in features])

    return Part


@faults.add("neck", "projection", "inputs are not modified", "modified its inputs")
def it_takes_a_level_out_of_the_list(base):
    class Part(base):
        def forward(self, features):
            found = super().forward(features)
            features.pop()
            return found

    return Part


@faults.add("neck", "projection", "state dict restores everything", "register_buffer")
def what_it_learned_is_no_buffer(base):
    class Part(base):
        seen = 0

        def forward(self, features):
            self.seen += self.training
            return [level + self.seen for level in super().forward(features)]

    return Part


@faults.add(
    "neck", "projection", "images do not affect each other", r"off by .*%: do not mix images"
)
def images_are_mixed(base):
    class Part(base):
        def forward(self, features):
            return [level - level.mean(dim=0) for level in super().forward(features)]

    return Part


@faults.add(
    "neck", "projection", "bfloat16 is close to float32", "are off by .*: run the sensitive"
)
def small_differences_of_large_numbers(base):
    class Part(base):
        def forward(self, features):
            found = super().forward(features)
            return [
                (100 * level + 1e4).to(torch.get_autocast_dtype("cpu")).float() - 1e4
                if torch.is_autocast_enabled("cpu")
                else 100 * level
                for level in found
            ]

    return Part


@faults.add(
    "neck",
    "projection",
    "half precision weights give half precision outputs",
    "weights and inputs are bfloat16, but outputs are torch.float32",
)
def float32_comes_out(base):
    class Part(base):
        def forward(self, features):
            return [level.float() for level in super().forward(features)]

    return Part


@faults.add("neck", "projection", "it runs on the meta device", "Tensor.item")
def a_value_is_asked_for(base):
    class Part(base):
        def forward(self, features):
            return super().forward(features) if features[0].sum().item() < 1e9 else features

    return Part


@faults.add(
    "neck", "projection", "it exports for any batch and size", "torch.export cannot trace it"
)
def it_decides_by_a_value(base):
    class Part(base):
        def forward(self, features):
            found = super().forward(features)
            return found if features[0].sum() < 1e9 else features

    return Part


@faults.add(
    "backbone",
    "squeezenet1_1",
    "maps match feature specs",
    r"`feature_specs` has the strides \[16, 8, 4\], expected fine to coarse",
)
def coarse_to_fine(base):
    class Part(base):
        def __setattr__(self, key, value):
            super().__setattr__(key, value[::-1] if key == "feature_specs" else value)

        def forward(self, images):
            return super().forward(images)[::-1]

    return Part


@faults.add("pooling", "roi_align", "maps match region shape", r"expected \(0, 9, 9, 9\) by")
def another_shape_of_regions(base):
    class Part(base):
        region_shape = property(lambda self: (9, 9, 9), lambda self, value: None)

    return Part


@faults.add(
    "pooling", "roi_align", "regions are pooled from their own image", "use `image`|other image"
)
def all_regions_are_of_the_first_image(base):
    class Part(base):
        def __call__(self, features, boxes, image):
            return super().__call__(features, boxes, torch.zeros_like(image))

    return Part


@faults.add("pooling", "roi_align", "regions without area give finite maps", "that are not finite")
def it_divides_by_the_area(base):
    class Part(base):
        def __call__(self, features, boxes, image):
            area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
            return super().__call__(features, boxes, image) / area[:, None, None, None]

    return Part


@faults.add("pooling", "roi_align", "gradients reach the feature levels", "without a gradient")
def levels_are_detached(base):
    class Part(base):
        def __call__(self, features, boxes, image):
            return super().__call__([level.detach() for level in features], boxes, image)

    return Part


@faults.add("box_head", "two_fc", "features match out channels", r"expected \(0, 5\) by")
def another_width(base):
    class Part(base):
        out_channels = property(lambda self: 5, lambda self, value: None)

    return Part


@faults.add("box_head", "two_fc", "gradients flow for any number of regions", "from 0 regions")
def no_region_is_an_early_end(base):
    class Part(base):
        def forward(self, regions):
            if len(regions) == 0:
                return regions.new_zeros(0, self.out_channels)
            return super().forward(regions)

    return Part


@faults.parametrize()
def test_the_fault_is_caught(fault):
    require_caught(fault)
