"""Layers as a table for a terminal, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Container, Sequence
from typing import Any

from detkit.network_summary.layers import Layer, ReceptiveField
from detkit.text import align_columns, shortened

COLUMNS = (
    *("layer", "kind", "output", "parameters", "operations", "connections"),
    *("receptive_field", "inputs"),
)
NOT_RUN = "not run"
_MOST_OUTPUTS = 6  # in a cell of the table
_LONGEST_NAME, _LONGEST_KIND = 44, 24
_BILLION, _MILLION, _THOUSAND = 10**9, 10**6, 10**3


def layer_lines(layers: Sequence[Layer], depth: int | None) -> list[str]:
    """The table of layers down to a depth, with a total; None shows all.

    Args:
        layers: All layers, as `layers_of` returns them.
        depth: How many levels of modules to show.
    """
    rows = [
        ("layer", "kind", "output", "parameters", "operations", "connections", "receptive field")
    ]
    shown = shown_layers(layers, depth)
    rows += [
        (
            shortened_path(layer),
            shortened(layer.kind, _LONGEST_KIND),
            NOT_RUN if layer.is_unused else _several(list(map(shape_text, layer.outputs))),
            f"{layer.parameters:,}" if layer.parameters else "",
            amount(layer.operations),
            amount(layer.connections),
            ", ".join(dict.fromkeys(map(field_text, layer.fields))),
        )
        for layer in shown
    ]
    total = layers[0]
    rows.append(
        (
            "total",
            "",
            "",
            f"{total.parameters:,}",
            amount(total.operations),
            amount(total.connections),
            "",
        )
    )
    return align_columns(rows, right_aligned=(3, 4, 5))


def shown_layers(layers: Sequence[Layer], depth: int | None) -> list[Layer]:
    """The layers down to a depth, without the network itself.

    A container that does not run itself, such as a ModuleList, only counts as a level if nothing in
    it runs.
    """
    levels = {layer.name for layer in layers if layer.outputs or layer.is_unused}
    return [x for x in layers if x.name and (depth is None or _depth(x, levels) <= depth)]


def _depth(layer: Layer, levels: Container[str]) -> int:
    parts = layer.name.split(".")
    around = (".".join(parts[:length]) for length in range(1, len(parts)))
    return 1 + sum(name in levels for name in around)


def shortened_path(layer: Layer) -> str:
    """A layer's name, indented by its depth."""
    name = layer.name.rpartition(".")[2]
    return "  " * (layer.depth - 1) + shortened(name, _LONGEST_NAME)


def shape_text(shape: Sequence[int]) -> str:
    """The sizes of a tensor, such as "64 x 80 x 80"."""
    return " x ".join(map(str, shape))


def field_text(field: ReceptiveField | None) -> str:
    """A receptive field: "35", "35 x 71", "4096+" if it fills such an image, "-" without pixels."""
    if field is None or not field.height:
        return "-"
    if field.is_cut_off:
        return f"{max(field.height, field.width)}+"
    if field.height == field.width:
        return str(field.height)
    return f"{field.height} x {field.width}"


def amount(count: int) -> str:
    """A count with three digits: "1.23 G", "45.6 M", "120"; empty for 0."""
    for size, unit in ((_BILLION, "G"), (_MILLION, "M"), (_THOUSAND, "k")):
        if count >= size:
            digits = 2 if count < 10 * size else 1 if count < 100 * size else 0
            return f"{count / size:.{digits}f} {unit}"
    return str(count) if count else ""


def _several(texts: Sequence[str]) -> str:
    """Texts of several outputs; equal ones in a row are counted, of many the last are left out."""
    runs: list[tuple[str, int]] = []
    for text in texts:
        if runs and runs[-1][0] == text:
            runs[-1] = (text, runs[-1][1] + 1)
        else:
            runs.append((text, 1))
    parts = [text if count == 1 else f"{count} times {text}" for text, count in runs]
    more = ["..."] if len(parts) > _MOST_OUTPUTS else []
    return ", ".join([*parts[:_MOST_OUTPUTS], *more])


def layer_content(layers: Sequence[Layer], depth: int | None) -> list[dict[str, Any]]:
    """The layers down to a depth as plain values, with exact counts."""
    return [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "output": [list(shape) for shape in layer.outputs],
            "parameters": layer.parameters,
            "operations": layer.operations,
            "connections": layer.connections,
            "receptive_field": [
                None if field is None or not field.height else _field_content(field)
                for field in layer.fields
            ],
            "inputs": layer.inputs,
        }
        for layer in shown_layers(layers, depth)
    ]


def _field_content(field: ReceptiveField) -> str | list[int]:
    return field_text(field) if field.is_cut_off else [field.height, field.width]


def as_csv(layers: Sequence[Layer], depth: int | None) -> str:
    """The layers down to a depth as CSV; several outputs of a layer share a cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for layer in shown_layers(layers, depth):
        writer.writerow(
            (
                layer.name,
                layer.kind,
                "; ".join(map(shape_text, layer.outputs)),
                layer.parameters,
                layer.operations,
                layer.connections,
                "; ".join(map(field_text, layer.fields)),
                "; ".join(layer.inputs),
            )
        )
    return text.getvalue()


def as_json(layers: Sequence[Layer], depth: int | None, size: tuple[int, int]) -> str:
    """The layers down to a depth as JSON, with the totals."""
    total = layers[0]
    content = {
        "image_size": list(size),
        "parameters": total.parameters,
        "operations": total.operations,
        "connections": total.connections,
        "layers": layer_content(layers, depth),
    }
    return json.dumps(content, indent=2) + "\n"
