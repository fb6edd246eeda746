"""Metrics, and analyses of what a detector gets wrong."""

from detkit.evaluation.class_matches import ClassMatches
from detkit.evaluation.metric_base import MetricBase, mean_over_classes

__all__ = ["ClassMatches", "MetricBase", "mean_over_classes"]
