"""Losses that break a promise are caught."""

import torch
from faults import Faults, require_caught
from torch.nn import functional as F

from detkit.structures import IGNORED

faults = Faults()
TELLS = "attributes are valid"
VALUES = "each pair has one value"


def calling(base, function, **members):
    """A loss of a function of itself, of the right values, and of what it is given."""

    def forward(self, *given):
        return function(self, lambda *own: base.forward(self, *own), *given)

    return type("Part", (base,), {"forward": forward, "__doc__": "A loss.", **members})


@faults.add("loss", "l1", TELLS, "`space` is 'box', expected one of classes, boxes, codes")
def an_unknown_space(base):
    return calling(base, lambda self, right, *given: right(*given), space="box")


@faults.add("loss", "focal", TELLS, "`activation` is 'relu', expected one of 'sigmoid', ")
def an_unknown_activation(base):
    return calling(base, lambda self, right, *given: right(*given), activation="relu")


@faults.add("loss", "l1", VALUES, r"gave one number, expected \(0,\): sum only over the last axis")
def a_mean(base):
    return calling(base, lambda self, right, *given: right(*given).mean())


@faults.add("loss", "l1", VALUES, r"is \(0, 4\) torch.float32, expected \(0,\)")
def a_value_for_each_side(base):
    return calling(base, lambda self, right, p, t: (p - t).abs())


@faults.add("loss", "l1", VALUES, "losses of 1 pairs are not finite")
def it_divides_by_a_deviation(base):
    return calling(base, lambda self, right, p, t: right(p, t) / p.std(dim=0).sum())


@faults.add("loss", "l1", VALUES, "have no gradient: do not detach")
def detached(base):
    return calling(base, lambda self, right, *given: right(*given).detach())


@faults.add(
    "loss", "l1", "values follow the order of the pairs", "each value must depend only on its pair"
)
def values_are_sorted(base):
    return calling(base, lambda self, right, *given: right(*given).sort().values)


@faults.add("loss", "l1", "values are deterministic", "gave other values the second time")
def random_values(base):
    return calling(base, lambda self, right, *given: right(*given) * torch.rand(()))


@faults.add("loss", "l1", "values are deterministic", "it modified its inputs")
def differences_in_place(base):
    return calling(base, lambda self, right, p, t: p.sub_(t).abs().sum(dim=-1))


@faults.add("loss", "l1", "weight is left to the head", "changed the values: do not apply it")
def a_weight_that_is_applied(base):
    return calling(base, lambda self, right, *given: self.weight * right(*given))


@faults.add(
    "loss", "l1", "half precision inputs are computed in float32", "float16 .*expected .*float32"
)
def it_stays_in_half_precision(base):
    return calling(base, lambda self, right, p, t: (p - t).abs().sum(dim=-1))


@faults.add(
    "loss",
    "bce",
    "half precision inputs are computed in float32",
    "differ from those of the same numbers",
)
def rounded_on_the_way(base):
    def function(self, right, logits, labels, scores=None):
        halves = torch.is_autocast_enabled("cpu")
        return right(logits.bfloat16() / 3 * 3 if halves else logits, labels, scores).float()

    return calling(base, function)


@faults.add("loss", "bce", "extreme inputs give finite values", "losses that are not finite")
def logarithms_of_probabilities(base):
    def function(self, right, logits, labels, scores=None):
        share = logits.sigmoid()
        hot = F.one_hot(labels.clamp(min=0), 3) * (labels >= 0)[:, None]
        return -(hot * share.log() + (1 - hot) * (1 - share).log()).sum(dim=-1)

    return calling(base, function)


@faults.add("loss", "iou", "extreme inputs give finite values", "gradients that are not finite")
def a_root_without_guard(base):
    def function(self, right, p, t):
        return (p.float() - t.float()).square().sum(dim=-1).sqrt()

    return calling(base, function)


@faults.add("loss", "bce", "class losses decrease towards the target", "labelled class rises")
def it_rises_towards_the_target(base):
    return calling(base, lambda self, right, logits, *rest: right(-logits, *rest))


@faults.add("loss", "bce", "class losses decrease towards the target", "an absent class falls")
def absent_classes_do_not_count(base):
    def function(self, right, logits, labels, scores=None):
        return F.softplus(-logits).gather(1, labels.clamp(min=0)[:, None]).squeeze(1)

    return calling(base, function)


@faults.add(
    "loss", "bce", "ignored priors do not affect others", "changed the values of other priors"
)
def ignored_priors_count_in_a_mean(base):
    def function(self, right, logits, labels, scores=None):
        return right(logits, labels, scores) / (labels == IGNORED).float().mean().add(1)

    return calling(base, function)


@faults.add("loss", "bce", "scores are soft targets", "scores of 1 for objects changed")
def scores_are_weights_of_background_too(base):
    def function(self, right, logits, labels, scores=None):
        values = right(logits, labels)
        return values if scores is None else values * scores

    return calling(base, function)


@faults.add(
    "loss",
    "l1",
    "exact predictions have the lowest loss",
    "more than wrong ones: the minimum is not",
)
def the_target_costs_most(base):
    return calling(base, lambda self, right, *given: (-right(*given)).exp())


@faults.add(
    "loss",
    "l1",
    "exact predictions have the lowest loss",
    "closer to the target do not have a lower loss",
)
def nothing_to_gain(base):
    return calling(base, lambda self, right, p, t: right(p, t) * 0 + 1)


@faults.add(
    "loss",
    "distribution_focal",
    "correct distributions have a lower loss",
    "true distance do not have a lower loss",
)
def distributions_of_another_order(base):
    def function(self, right, logits, distances):
        return right(logits.flip(-1), distances)

    return calling(base, function)


@faults.parametrize()
def test_the_fault_of_a_loss_is_caught(fault):
    require_caught(fault)
