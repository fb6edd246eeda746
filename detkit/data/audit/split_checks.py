"""Checks of the splits: images in two of them, and splits without images or objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from detkit.data.audit.duplicates import Pair, equal_pairs, near_pairs
from detkit.data.audit.evidence import Evidence, Split
from detkit.data.audit.findings import Example, Finding, Limits, Severity, make_findings
from detkit.data.splits import (
    DEFAULT_TRAIN_SPLIT,
    DEFAULT_VALIDATION_SPLIT,
    choose_training,
    choose_validation,
)
from detkit.errors import DataError
from detkit.text import counted

_MOVE = "Keep all copies of a scene in one split"


def shared_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Images in two splits: the same file, the same content, or the same scene.

    Warning: any. Error: more than `most_leaked` of a split's images are also in the training split,
    which makes metrics on that split too good.
    """
    files: list[Example] = []
    copies: list[Example] = []
    scenes: list[tuple[float, Example]] = []
    for first, second in _pairs_of_splits(evidence):
        positions = {name: position for position, name in enumerate(first.names)}
        same = [Pair(positions[n], i, 1.0) for i, n in enumerate(second.names) if n in positions]
        equal = _without(equal_pairs(first.files, second.files), same)
        near = near_pairs(
            first.files,
            second.files,
            most_bits=limits.most_bits,
            least_likeness=limits.least_likeness,
        )
        files += [_twins(first, second, pair, "the same file") for pair in same]
        copies += [_twins(first, second, pair, "the same content") for pair in equal]
        scenes += [
            (pair.likeness, _twins(first, second, pair, f"likeness {pair.likeness:.2f}"))
            for pair in _without(near, [*same, *equal])
        ]
    scenes.sort(key=lambda case: -case[0])
    kinds = [
        ("files in two splits", files, "Remove them from one of the lists."),
        ("identical images in two splits", copies, f"{_MOVE}, and delete the others."),
        ("near-duplicate images in two splits", [example for _, example in scenes], f"{_MOVE}."),
    ]
    return [
        finding
        for kind, examples, advice in kinds
        for finding in _leak(evidence, limits, kind, examples, advice)
    ]


def _leak(
    evidence: Evidence, limits: Limits, kind: str, examples: Sequence[Example], advice: str
) -> list[Finding]:
    train, counts = evidence.train, evidence.image_counts
    leaked = Counter(
        example.split
        for example in examples
        if train is not None and example.twin is not None and example.twin[0] == train.name
    )
    hurt = any(count > limits.most_leaked * counts[split] for split, count in leaked.items())
    severity: Severity = "error" if hurt else "warning"
    return make_findings(
        kind,
        examples,
        counts,
        unit="images",
        advice=f"Metrics on them are too optimistic. {advice}",
        severity=severity,
    )


def _pairs_of_splits(evidence: Evidence) -> list[tuple[Split, Split]]:
    """All pairs of splits, the training split first."""
    ordered = sorted(evidence.splits, key=lambda split: split is not evidence.train)
    return list(combinations(ordered, 2))


def _without(pairs: Sequence[Pair], excluded: Sequence[Pair]) -> list[Pair]:
    """The pairs whose second image is in none of the others."""
    copies = {pair.second for pair in excluded}
    return [pair for pair in pairs if pair.second not in copies]


def _twins(first: Split, second: Split, pair: Pair, detail: str) -> Example:
    twin = (first.name, first.names[pair.first])
    return Example(second.name, second.names[pair.second], detail, twin=twin)


def copies_within(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: a file listed twice in a split, or two files of it with the same content."""
    listed: list[Example] = []
    copied: list[Example] = []
    for split in evidence.splits:
        seen: dict[bytes, str] = {}
        for name, facts in zip(split.names, split.files, strict=True):
            earlier = seen.setdefault(facts.digest or name.encode(), name)
            if earlier is name:
                continue
            example = Example(split.name, name, "", twin=(split.name, earlier))
            if earlier == name:
                listed.append(example._replace(detail="listed again"))
            else:
                copied.append(example._replace(detail="the same content"))
    counts = evidence.image_counts
    return [
        *make_findings(
            "images listed twice in a split",
            listed,
            counts,
            unit="images",
            advice="They count twice. List each once, with all of its boxes.",
        ),
        *make_findings(
            "identical images within a split",
            copied,
            counts,
            unit="images",
            advice="They count twice, and a random validation split would separate them. Keep one "
            "of each, with all of its boxes.",
        ),
    ]


def empty_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: images without boxes, which train as background; warning: half of a split or more."""
    examples = []
    for split in evidence.splits:
        empty = np.diff(split.index.object_offsets) == 0
        if empty.all():
            continue  # another check reports it
        examples += [Example(split.name, split.names[i]) for i in np.flatnonzero(empty).tolist()]
    return make_findings(
        "images without boxes",
        examples,
        evidence.image_counts,
        unit="images",
        advice="They are used and train as background. If they show objects, annotate them: each "
        "unmarked object teaches the detector not to find it.",
        severity="note",
        warning_above=0.5,
    )


def empty_splits(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: a split without objects; there is nothing to learn or to evaluate."""
    findings = []
    for split in evidence.splits:
        if (~split.index.ignored).any():
            continue
        images = counted(split.image_count, "image")
        other_names = [other.name for other in evidence.splits if other is not split]
        advice = "Annotate it, or check that the annotations belong to these images."
        if split not in (evidence.train, evidence.validation):
            advice += (
                " Nothing can be measured on it. If it is meant to have no annotations, leave it "
                f"out of the check: splits=[{','.join(other_names)}]."
            )
        findings += make_findings(
            f"no object in '{split.name}'",
            [Example(split.name, "", f"{images}, none with an object")],
            {split.name: 1},
            unit="splits",
            advice=advice,
            severity="error",
        )
    return findings


def without_training(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: splits are declared, but none is the training split."""
    try:
        choose_training(DEFAULT_TRAIN_SPLIT, evidence.declared)
    except DataError:
        names = ", ".join(evidence.declared)
        return make_findings(
            "no training split",
            [Example("", "", f"the splits are {names}")],
            {},
            unit="data sets",
            advice="Name the split to train on: `detkit train` takes data.train_split="
            f"{evidence.declared[0]}. `detkit evaluate` needs none.",
            severity="error",
        )
    return []


def held_back(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: there is no validation split, so a part of the training split is held back.

    Error: other splits are declared, but none has the name of a validation split.
    """
    if evidence.validation is not None or evidence.train is None or evidence.refused:
        return []
    try:
        choose_validation(DEFAULT_VALIDATION_SPLIT, evidence.declared)
    except DataError as error:
        example = Example(evidence.train.name, "", ", ".join(evidence.declared))
        return make_findings(
            "no validation split", [example], {}, unit="splits", advice=str(error), severity="error"
        )
    return make_findings(
        "no validation split",
        [Example(evidence.train.name, "", "")],
        {},
        unit="splits",
        advice="`detkit train` holds back a fifth of the training images at random (its key "
        "data.validation_fraction). If images come in series, split by whole series.",
        severity="note",
    )


def ignored_objects(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: crowd and difficult objects; warning: half of a split or more."""
    examples = []
    for split in evidence.splits:
        for position in np.flatnonzero(split.index.ignored).tolist():
            x1, y1, x2, y2 = split.index.boxes[position].tolist()
            name = split.names[split.owners[position]]
            label = split.index.class_names[split.index.labels[position]]
            examples.append(Example(split.name, name, label, ((x1, y1, x2, y2),)))
    return make_findings(
        "objects marked crowd or difficult",
        examples,
        evidence.box_counts,
        unit="boxes",
        advice="They neither count in metrics nor train as object or background.",
        severity="note",
        warning_above=0.5,
    )


def crowded_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: images with more objects than the COCO metric counts detections per image."""
    cases = []
    for split in evidence.splits:
        counts = np.diff(split.index.object_offsets)
        for position in np.flatnonzero(counts > limits.most_objects).tolist():
            detail = counted(int(counts[position]), "object")
            cases.append((-counts[position], Example(split.name, split.names[position], detail)))
    cases.sort(key=lambda case: case[0])
    return make_findings(
        f"images with more than {limits.most_objects} objects",
        [example for _, example in cases],
        evidence.image_counts,
        unit="images",
        advice="The COCO metric counts the best 100 detections of an image, and detectors keep as "
        "many (model.head.postprocess.max_detections): cut such images into tiles, or raise it.",
        severity="note",
    )
