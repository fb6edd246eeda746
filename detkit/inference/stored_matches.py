"""The matches of a run's final measurement, stored for `detkit sweep table`."""

from __future__ import annotations

import logging
from pathlib import Path

from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.match_file import MOST_ROWS, write_matches
from detkit.interfaces import Metric
from detkit.runs.layout import RunFolder

_log = logging.getLogger("detkit.run")


def store_matches(metric: Metric, folder: Path) -> None:
    """Store the matches of boxes in a run folder, if the metric is COCO's."""
    if isinstance(metric, CocoMetric) and not write_matches(
        RunFolder(folder).matches, metric.matches()[""]
    ):
        _log.info(
            "matches are not stored, as there are more than %s detections: `detkit sweep table` "
            "will not tell whether this run differs from others by more than chance",
            f"{MOST_ROWS:,}",
        )
