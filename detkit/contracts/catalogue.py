"""The promises of each family."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from detkit import registry
from detkit.contracts import (
    assignment,
    callbacks_and_loggers,
    common,
    exporters,
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
    writers,
)
from detkit.contracts.case import Subject

Check = Callable[[Subject], None]

_EVERY_PART = (common.it_can_be_built, common.it_describes_itself)
_NETWORK = (
    networks.outputs_are_deterministic,
    networks.inputs_are_not_modified,
    networks.state_dict_restores_everything,
)
_PURE = (
    networks.images_do_not_affect_each_other,
    networks.bfloat16_is_close_to_float32,
)
_LEVELS = (
    feature_levels.maps_match_feature_specs,
    networks.every_parameter_gets_a_gradient,
    *_NETWORK,
    *_PURE,
    networks.it_exports_for_any_batch_and_size,
    networks.half_precision_weights_give_half_precision_outputs,
    feature_levels.it_runs_on_the_meta_device,
)
_LEARNING = (
    heads.losses_are_finite_and_reach_each_parameter,
    heads.detections_are_inside_their_image,
    heads.an_image_is_detected_as_if_alone,
    heads.detections_are_reproducible,
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
    networks.exported_program_gives_the_same_outputs,
)
_PROPOSING = (proposals.training_proposals_are_valid_regions,)
_FIXED_PROPOSER = (
    heads.predictions_have_their_form,
    heads.detections_are_inside_their_image,
    heads.an_image_is_detected_as_if_alone,
    heads.detections_are_reproducible,
    *_PROPOSING,
    *_NETWORK,
)
_LAYERS = (
    heads.predictions_have_their_form,
    heads.predictions_match_the_priors,
    *_NETWORK,
    *_PURE,
    networks.it_exports_for_any_batch_and_size,
)
_LOSS = (
    loss_functions.attributes_are_valid,
    loss_functions.each_pair_has_one_value,
    loss_functions.values_follow_the_order_of_the_pairs,
    loss_functions.values_are_deterministic,
    loss_functions.weight_is_left_to_the_head,
    loss_functions.half_precision_inputs_are_computed_in_float32,
    loss_functions.extreme_inputs_give_finite_values,
)
_BY_SPACE: dict[str, tuple[Check, ...]] = {
    "classes": (
        loss_functions.class_losses_decrease_towards_the_target,
        loss_functions.ignored_priors_do_not_affect_others,
        loss_functions.scores_are_soft_targets,
    ),
    "boxes": (loss_functions.exact_predictions_have_the_lowest_loss,),
    "codes": (loss_functions.exact_predictions_have_the_lowest_loss,),
    "distribution": (loss_functions.correct_distributions_have_a_lower_loss,),
    "gaussian": (loss_functions.exact_predictions_have_the_lowest_loss,),
}
_BY_FAMILY: dict[str, tuple[Check, ...]] = {
    "detector": (heads.it_is_a_module, *_LEARNING, *_NETWORK),
    "backbone": _LEVELS,
    "neck": _LEVELS,
    "head": _DENSE,
    "layers": _LAYERS,
    "proposer": (*_DENSE, *_PROPOSING),
    "roi_head": (
        proposals.predictions_cover_every_region,
        *_LEARNING,
        proposals.batches_without_regions_give_gradients,
        proposals.padding_has_no_effect,
        proposals.no_gradient_flows_into_region_boxes,
        *_NETWORK,
    ),
    "pooling": (
        pooling_and_box_heads.maps_match_region_shape,
        pooling_and_box_heads.regions_are_pooled_from_their_own_image,
        pooling_and_box_heads.regions_without_area_give_finite_maps,
        pooling_and_box_heads.gradients_reach_the_feature_levels,
        *_NETWORK,
        networks.bfloat16_is_close_to_float32,
    ),
    "mask_head": (
        pooling_and_box_heads.masks_have_a_map_for_each_class,
        pooling_and_box_heads.mask_gradients_flow_for_any_number_of_regions,
        *_NETWORK,
        networks.exported_program_gives_the_same_outputs,
    ),
    "box_head": (
        pooling_and_box_heads.features_match_out_channels,
        pooling_and_box_heads.gradients_flow_for_any_number_of_regions,
        *_NETWORK,
        *_PURE,
        networks.it_exports_for_any_batch_and_size,
        networks.half_precision_weights_give_half_precision_outputs,
    ),
    "priors": (
        priors_and_coders.priors_match_per_cell,
        priors_and_coders.priors_are_in_row_major_order,
        priors_and_coders.priors_are_cached,
    ),
    "box_coder": (
        priors_and_coders.decoding_inverts_encoding,
        priors_and_coders.leading_axes_broadcast,
        priors_and_coders.empty_inputs_give_empty_outputs,
        priors_and_coders.gradients_reach_every_code,
        priors_and_coders.any_code_decodes_to_a_finite_box,
        priors_and_coders.half_precision_codes_are_decoded_in_float32,
    ),
    "assigner": (
        assignment.matches_are_valid,
        assignment.images_without_objects_are_all_background,
        assignment.objects_of_usual_size_are_assigned,
        assignment.images_of_a_batch_are_independent,
        assignment.assignments_are_deterministic,
    ),
    "sampler": (
        assignment.ranks_by_is_valid,
        assignment.masks_exclude_ignored_priors,
        assignment.few_and_no_priors_are_handled,
        assignment.sampling_is_reproducible_from_a_seed,
    ),
    "quality_target": (
        assignment.targets_are_between_0_and_1,
        assignment.exact_predictions_have_high_targets,
    ),
    "loss": _LOSS,
    "postprocess": (
        postprocessors.limits_are_readable,
        postprocessors.detections_are_sorted_by_score,
        postprocessors.a_single_candidate_is_unchanged,
        postprocessors.degenerate_candidates_give_valid_detections,
        postprocessors.an_image_is_detected_as_if_alone,
        postprocessors.the_order_of_candidates_does_not_matter,
    ),
    "reader": (
        readers_and_samplings.missing_data_raises_a_clear_error,
        readers_and_samplings.every_split_can_be_read,
        readers_and_samplings.images_can_be_decoded,
        readers_and_samplings.reading_is_deterministic,
    ),
    "transform": (
        transforms.samples_are_valid,
        transforms.randomness_comes_from_the_generator,
        transforms.samples_are_not_modified,
        transforms.to_image_maps_boxes_back,
        transforms.masks_follow_their_boxes,
    ),
    "sampling": (readers_and_samplings.shares_are_finite_and_not_negative,),
    "metric": (
        metrics.it_has_all_members,
        metrics.perfect_detections_have_an_ap_of_1,
        metrics.images_without_objects_are_handled,
        metrics.each_image_counts_once,
        metrics.merged_ranks_equal_one_process,
        metrics.reset_clears_all_state,
    ),
    "optimizer": (
        optimizers_and_schedules.every_trainable_parameter_is_in_one_group,
        optimizers_and_schedules.the_loss_decreases,
        optimizers_and_schedules.it_resumes_from_its_state,
    ),
    "scheduler": (
        optimizers_and_schedules.factors_are_finite_and_not_negative,
        optimizers_and_schedules.factors_depend_on_the_step_alone,
    ),
    "callback": (
        callbacks_and_loggers.it_has_lightnings_type,
        callbacks_and_loggers.hooks_match_lightnings_signatures,
        callbacks_and_loggers.training_is_unchanged,
        callbacks_and_loggers.training_resumes_from_its_checkpoint,
    ),
    "logger": (
        callbacks_and_loggers.it_has_lightnings_type,
        callbacks_and_loggers.training_is_unchanged,
        callbacks_and_loggers.metrics_and_hyperparameters_are_logged,
    ),
    "exporter": (exporters.attributes_are_valid, exporters.written_models_give_the_same_outputs),
    "writer": (
        writers.files_are_named_after_their_image,
        writers.detections_give_files,
        writers.no_detections_are_handled,
        writers.files_depend_on_the_arguments_alone,
    ),
}


def promises(family: str, name: str) -> Iterable[Check]:
    """All checks of a part: for every part, for its family or kind, and for a loss's space."""
    if family == "proposer" and not getattr(registry.get(family, name), "learns", True):
        return (*_EVERY_PART, *_FIXED_PROPOSER)
    space = getattr(registry.get(family, name), "space", None) if family == "loss" else None
    return (*_EVERY_PART, *_BY_FAMILY[family], *_BY_SPACE.get(str(space), ()))
