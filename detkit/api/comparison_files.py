"""The files of a comparison: numbers, images, pictures."""

from __future__ import annotations

from pathlib import Path

from detkit.api.comparison import MeasuredDetector
from detkit.evaluation.comparison_tables import (
    PairedComparison,
    comparison_content,
    images_csv,
)
from detkit.evaluation.metrics_table import plain_json
from detkit.files import write_atomically
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.visualization.comparison_pictures import draw_views
from detkit.visualization.draw import to_picture


def write_comparison(
    comparison: PairedComparison,
    first: MeasuredDetector,
    other: MeasuredDetector,
    folder: Path,
    pictures: int,
) -> list[Path]:
    """Write `comparison.json`, `images.csv` and pictures of the images that differ most.

    Pictures of an earlier comparison in the folder are removed.

    Args:
        comparison: The comparison.
        first: The first detector.
        other: The second detector.
        folder: Where to write; created if needed.
        pictures: How many pictures to draw.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers, images = folder / "comparison.json", folder / "images.csv"
    write_atomically(numbers, plain_json(comparison_content(comparison)))
    write_atomically(images, images_csv(comparison))
    for earlier in folder.glob("[0-9][0-9]_*.jpg"):
        earlier.unlink()
    files = [numbers, images]
    for rank, position in enumerate(comparison.largest_effects(pictures), start=1):
        image_id = comparison.image_ids[position]
        try:
            sample = first.read(first.index.image_ids.tolist().index(image_id))
        except UnreadableImageError:
            continue
        file = folder / f"{rank:02d}_{Path(comparison.image_names[position]).stem}.jpg"
        effect = comparison.effects[position]
        better = comparison.names[0] if effect > 0 else comparison.names[1]
        caption = f"{comparison.image_names[position]}: {abs(effect):.4f} AP in favour of {better}"
        views = [first.view(image_id), other.view(image_id)]
        names = first.index.class_names
        draw_views(to_picture(sample.image), sample.target, views, names, caption).save(file)
        files.append(file)
    return files
