"""Which promises a family makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from detkit import registry
from detkit.contracts import (
    assignment,
    callbacks_and_loggers,
    common,
    feature_levels,
    heads,
    loss_functions,
    metrics,
    networks,
    optimizers_and_schedules,
    pooling_and_box_heads,
    postprocessors,
    priors_and_coders,
    proposals,
    readers_and_samplings,
    transforms,
)
from detkit.contracts.case import Subject

Check = Callable[[Subject], None]

_EVERY_PART = (common.it_can_be_built, common.it_describes_itself)
_NETWORK = (
    networks.the_same_comes_out_twice,
    networks.inputs_stay_as_they_are,
    networks.a_state_dict_brings_everything_back,
)
_PURE = (
    networks.an_image_does_not_see_others,
    networks.bfloat16_is_close_to_float32,
    networks.export_gives_the_same_numbers,
)
_LEVELS = (
    feature_levels.maps_are_what_feature_specs_say,
    networks.each_parameter_gets_a_gradient,
    *_NETWORK,
    *_PURE,
    networks.half_precision_weights_give_half_precision,
    feature_levels.shapes_are_known_without_memory,
)
_LEARNING = (
    heads.losses_are_finite_and_reach_each_parameter,
    heads.detections_lie_in_their_image,
    heads.an_image_is_detected_as_if_alone,
    heads.detections_come_out_twice,
    heads.losses_leave_their_input,
    heads.predicting_does_not_disturb_training,
    heads.losses_are_float32_under_autocast,
)
_DENSE = (
    heads.predictions_have_their_form,
    *_LEARNING,
    heads.assignments_name_objects,
    *_NETWORK,
    *_PURE,
)
_LOSS = (
    loss_functions.its_attributes_tell_what_it_takes,
    loss_functions.each_pair_has_a_value,
    loss_functions.values_stand_in_the_order_of_the_pairs,
    loss_functions.the_same_costs_the_same,
    loss_functions.the_weight_is_left_to_the_head,
    loss_functions.half_precision_is_computed_in_float32,
    loss_functions.extreme_values_do_no_harm,
)
_BY_SPACE: dict[str, tuple[Check, ...]] = {
    "classes": (
        loss_functions.class_losses_fall_towards_the_target,
        loss_functions.ignored_priors_change_no_other_value,
        loss_functions.scores_are_soft_targets_of_objects,
    ),
    "boxes": (loss_functions.exact_predictions_cost_least,),
    "codes": (loss_functions.exact_predictions_cost_least,),
    "distribution": (loss_functions.distributions_gather_at_their_distance,),
}
_BY_FAMILY: dict[str, tuple[Check, ...]] = {
    "detector": (heads.it_is_a_module, *_LEARNING, *_NETWORK),
    "backbone": _LEVELS,
    "neck": _LEVELS,
    "head": _DENSE,
    "proposer": (*_DENSE, proposals.proposals_come_with_the_losses),
    "roi_head": (
        proposals.scores_and_boxes_have_a_place_for_each_region,
        *_LEARNING,
        proposals.batches_without_regions_are_learned,
        proposals.regions_are_learned_without_their_gradient,
        *_NETWORK,
    ),
    "pooling": (
        pooling_and_box_heads.maps_are_as_region_shape_says,
        pooling_and_box_heads.a_region_is_of_its_own_image,
        pooling_and_box_heads.regions_without_area_do_no_harm,
        pooling_and_box_heads.gradients_reach_the_levels,
        *_NETWORK,
        networks.bfloat16_is_close_to_float32,
    ),
    "box_head": (
        pooling_and_box_heads.features_are_as_wide_as_out_channels_says,
        pooling_and_box_heads.any_number_of_regions_gives_gradients,
        *_NETWORK,
        *_PURE,
        networks.half_precision_weights_give_half_precision,
    ),
    "priors": (
        priors_and_coders.priors_come_as_per_cell_says,
        priors_and_coders.cells_go_row_by_row,
        priors_and_coders.priors_are_made_once,
    ),
    "box_coder": (
        priors_and_coders.decoding_undoes_encoding,
        priors_and_coders.leading_axes_broadcast,
        priors_and_coders.no_boxes_have_no_codes,
        priors_and_coders.each_code_gets_a_gradient_from_its_box,
        priors_and_coders.any_code_gives_a_finite_box,
        priors_and_coders.half_precision_codes_are_decoded_in_float32,
    ),
    "assigner": (
        assignment.matches_are_objects_or_background_or_ignored,
        assignment.without_objects_all_is_background,
        assignment.objects_of_a_usual_size_are_found,
        assignment.the_same_is_assigned_twice,
    ),
    "sampler": (
        assignment.what_it_ranks_by_is_known,
        assignment.masks_leave_out_what_is_ignored,
        assignment.a_few_priors_and_none_pass,
        assignment.the_same_seed_draws_the_same,
    ),
    "quality_target": (assignment.targets_are_shares, assignment.the_best_place_has_a_high_target),
    "loss": _LOSS,
    "postprocess": (
        postprocessors.limits_can_be_read,
        postprocessors.detections_come_best_first,
        postprocessors.a_single_candidate_stays_as_it_is,
        postprocessors.difficult_candidates_do_no_harm,
        postprocessors.the_order_of_candidates_does_not_matter,
    ),
    "reader": (
        readers_and_samplings.wrong_folders_are_refused_in_words,
        readers_and_samplings.each_split_is_read,
        readers_and_samplings.images_can_be_decoded,
        readers_and_samplings.the_same_is_read_twice,
    ),
    "transform": (
        transforms.samples_keep_their_form,
        transforms.randomness_comes_from_the_generator,
        transforms.samples_stay_as_they_are,
        transforms.boxes_find_their_way_back,
    ),
    "sampling": (readers_and_samplings.shares_are_counts_from_0_on,),
    "metric": (
        metrics.it_has_all_members,
        metrics.perfect_detections_are_best,
        metrics.images_without_objects_do_no_harm,
        metrics.an_image_counts_once,
        metrics.ranks_together_equal_one_process,
        metrics.reset_forgets_all,
    ),
    "optimizer": (
        optimizers_and_schedules.each_trainable_parameter_is_in_one_group,
        optimizers_and_schedules.a_loss_falls,
        optimizers_and_schedules.it_goes_on_from_its_state,
    ),
    "scheduler": (
        optimizers_and_schedules.factors_are_numbers_from_0_on,
        optimizers_and_schedules.a_factor_depends_on_the_step_alone,
    ),
    "callback": (
        callbacks_and_loggers.it_is_what_lightning_takes,
        callbacks_and_loggers.hooks_have_lightnings_signatures,
        callbacks_and_loggers.a_training_goes_as_without_it,
        callbacks_and_loggers.a_training_goes_on_from_its_checkpoint,
    ),
    "logger": (
        callbacks_and_loggers.it_is_what_lightning_takes,
        callbacks_and_loggers.a_training_goes_as_without_it,
        callbacks_and_loggers.numbers_and_text_are_taken,
    ),
}


def promises(family: str, name: str) -> Iterable[Check]:
    """The checks of a part: those of every part, of its family, and of the space of a loss."""
    space = getattr(registry.get(family, name), "space", None) if family == "loss" else None
    return (*_EVERY_PART, *_BY_FAMILY[family], *_BY_SPACE.get(str(space), ()))
