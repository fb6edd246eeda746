"""The way of one FCOS batch from disk to loss stays short enough to be read in one sitting."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from PIL import Image

import detkit
from detkit import assembly
from detkit.config.compose import compose
from detkit.structures import Batch

PACKAGE = Path(detkit.__file__).parent
# An FCOS batch passes twelve parts with a file each, before what they share; fewer files would mean
# parts that cannot be swapped. The numbers rose once, from 500, 72 and 29, when files came to be
# read whatever is wrong with them, and quality branches, class weights and mixing became parts; two
# of them once more, from 570 and 78, for losses and overlaps that are computed piece by piece; and
# all from 620, 84 and 36 for batches whose objects are padded and assigned together.
MOST_LINES, MOST_FUNCTIONS, MOST_FILES = 770, 102, 46


@dataclass
class Passage:
    """The code objects of ours that an action ran; a comprehension belongs to its function."""

    codes: set[CodeType] = field(default_factory=set)

    @property
    def functions(self) -> set[str]:
        return {
            f"{Path(code.co_filename).relative_to(PACKAGE)}: {code.co_qualname}"
            for code in self.codes
        }

    @property
    def files(self) -> set[str]:
        return {str(Path(code.co_filename).relative_to(PACKAGE)) for code in self.codes}

    @property
    def lines(self) -> int:
        """Lines of the functions, docstrings left out: what has to be read to know what ran."""
        return sum(map(lines_without_docstring, self.codes))

    def enter(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and is_ours(code) and not code.co_name.startswith("<"):
            self.codes.add(code)


def is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(str(PACKAGE))


@cache
def lengths(file: str) -> dict[int, int]:
    """Lines without docstring of each function of a file, by the lines that may be its first."""
    found = {}
    for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                length -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            decorated = [decorator.lineno for decorator in node.decorator_list]
            found.update(dict.fromkeys([node.lineno, *decorated], length))
    return found


def lines_without_docstring(code: CodeType) -> int:
    return lengths(code.co_filename)[code.co_firstlineno]


def trace(action: Callable[[], Any]) -> Passage:
    passage = Passage()
    before = sys.getprofile()
    sys.setprofile(passage.enter)
    try:
        action()
    finally:
        sys.setprofile(before)
    return passage


def write_coco(folder: Path) -> None:
    """Two images of 64 x 64, one object each."""
    (folder / "train").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for image_id in (1, 2):
        Image.new("RGB", (64, 64), (90, 20 * image_id, 30)).save(folder / f"train/{image_id}.png")
    images = [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 64} for i in (1, 2)]
    box = {"bbox": [8, 8, 32, 40], "area": 1280, "category_id": 1, "iscrowd": 0}
    content = {
        "images": images,
        "annotations": [{**box, "id": i, "image_id": i} for i in (1, 2)],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def passage(tmp_path_factory: pytest.TempPathFactory) -> Passage:
    folder = tmp_path_factory.mktemp("coco")
    write_coco(folder)
    words = ["model=fcos", "data=folder", f"data.path={folder}", "data.workers=0"]
    config = compose("train", [*words, "data.batch_size=2", "data.validation_split=train"])
    data = assembly.build_data(config)
    classes = assembly.Classes(data.class_names, data.category_ids)
    detector = assembly.build_detector(config["model"], classes)
    batches = iter(data.train_loader())

    def step() -> None:
        batch: Batch = next(batches)
        sum(detector.loss(batch.to("cpu")).values()).backward()

    return trace(step)


def test_functions(passage):
    assert len(passage.functions) <= MOST_FUNCTIONS, "\n".join(sorted(passage.functions))


def test_files(passage):
    assert len(passage.files) <= MOST_FILES, "\n".join(sorted(passage.files))


def test_lines(passage):
    assert passage.lines <= MOST_LINES


def test_the_way_begins_at_the_file_and_ends_at_the_loss(passage):
    steps = {"data/image_decoding.py: decode", "heads/dense.py: DenseHead.loss"}
    assert steps <= passage.functions


def test_the_trace_counts_functions_and_lines():
    """The counting itself, on a function of ours that is known."""
    passage = trace(lambda: detkit.registry.family_of_slot("box_loss"))
    assert passage.functions == {"registry.py: family_of_slot"}
    assert passage.lines == 3
