"""Detections and objects to numbers, to an analysis, and to what a person reads of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.evaluation.bootstrap import BootstrapSettings
from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.curve_files import write_curves
from detkit.evaluation.detection_analysis import analyse, analysis_content, errors_table
from detkit.evaluation.image_results import CollectedImages
from detkit.evaluation.metric_base import MetricBase
from detkit.evaluation.metric_intervals import MetricIntervals, metric_intervals
from detkit.evaluation.metrics_table import metrics_table, write_metrics
from detkit.interfaces import Metric
from detkit.runs.layout import RunFolder
from detkit.structures import Detections, Target
from detkit.structures.analysis import Analysis
from detkit.visualization.analysis_pictures import write_pictures


@dataclass(frozen=True)
class Measurement:
    """Results of an evaluation.

    Attributes:
        numbers: Flat names to numbers, as the metric gives them.
        meanings: What the numbers over all classes are, in a few words.
        analysis: Further results, such as errors and curves.
        notes: Lines about images that could not be read.
        intervals: Confidence intervals of the numbers, on request.
    """

    numbers: Mapping[str, float]
    meanings: Mapping[str, str]
    analysis: Analysis
    notes: Sequence[str] = ()
    intervals: MetricIntervals | None = None

    def flat_numbers(self) -> dict[str, float]:
        """The numbers, and the ends of their intervals as `AP_low`, `AP_high` and so on."""
        return {**self.numbers, **(self.intervals.numbers() if self.intervals else {})}

    def text(self) -> str:
        """All numbers as a table, and the AP lost to each kind of error."""
        names, objects = self.analysis.class_names, self.analysis.objects.tolist()
        intervals = self.intervals.by_name if self.intervals else None
        table = metrics_table(
            self.numbers, names, objects, meanings=self.meanings, intervals=intervals
        )
        lines = ["\n".join(self.intervals.notes())] if self.intervals else []
        return "\n\n".join([table, *lines, *self.notes, errors_table(self.analysis)])

    def write(self, folder: Path) -> list[Path]:
        """Write `metrics.json`, the curves as CSV and the pictures; return the files."""
        folder.mkdir(parents=True, exist_ok=True)
        file = RunFolder(folder).results
        content = analysis_content(self.analysis)
        if self.notes:
            content["notes"] = list(self.notes)
        if self.intervals:
            content["intervals"] = self.intervals.content()
        write_metrics(file, self.flat_numbers(), content)
        pictures = write_pictures(self.analysis, self.numbers, RunFolder(folder).analysis)
        return [file, *write_curves(self.analysis, RunFolder(folder).analysis), *pictures]


def measure(
    metric: Metric,
    class_names: list[str],
    batches: Iterable[tuple[list[int], list[Detections], list[Target]]],
    notes: Callable[[], Sequence[str]] = list,
    *,
    intervals: BootstrapSettings | None = None,
) -> Measurement:
    """Measure image ids, detections and objects, batch by batch, in original coordinates.

    Args:
        metric: The metric.
        class_names: The classes in label order.
        batches: The image ids, detections and objects of each batch.
        notes: Returns lines for the results table; called after the last batch.
        intervals: How to compute confidence intervals, which need COCO's metric; None for none.
    """
    seen = _images_of(metric)
    analysed = CollectedImages(class_names) if seen is None else seen
    for image_ids, detections, targets in batches:
        metric.update(image_ids, detections, targets)
        if seen is None:
            analysed.update(image_ids, detections, targets)
    ranges = None
    if intervals is not None and isinstance(metric, CocoMetric):
        ranges = metric_intervals(metric, intervals)
    numbers, analysis = metric.compute(), analyse(analysed)
    return Measurement(numbers, metric.meanings, analysis, notes(), ranges)


def _images_of(metric: Metric) -> CollectedImages | None:
    """The images that a metric collects, to collect them once; None if it may collect others."""
    if isinstance(metric, MetricBase) and type(metric).update is MetricBase.update:
        return metric.images
    return None
