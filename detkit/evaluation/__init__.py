"""Metrics, and analyses of what a detector gets wrong; imported on first use."""

from typing import TYPE_CHECKING

from detkit.lazy_names import lazy_names

if TYPE_CHECKING:
    from detkit.evaluation.class_matches import ClassMatches
    from detkit.evaluation.metric_base import MetricBase, mean_over_classes

__all__ = ["ClassMatches", "MetricBase", "mean_over_classes"]

if not TYPE_CHECKING:  # or type checkers would accept every name
    __getattr__ = lazy_names(
        __name__,
        {"class_matches": ("ClassMatches",), "metric_base": ("MetricBase", "mean_over_classes")},
    )
