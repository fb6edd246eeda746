"""Every page under conf/ composes and passes the check; every page of a model builds."""

from pathlib import Path

import pytest

from detkit import assembly
from detkit.assembly import Classes
from detkit.config import slots
from detkit.config.compose import compose
from detkit.config.folders import conf_folder

CONF = conf_folder()
PAGES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
GROUP_PAGES = [page for page in PAGES if len(page.parts) > 1]
MODEL_PAGES = [page for page in GROUP_PAGES if page.parts[0] in ("model", "experiment")]
CLASSES = Classes(["a", "b"], [1, 2])
# What a head needs behind the backbone and the neck of the usual page.
HEADS_ALONE = {
    "model/head/cornernet.yaml": ["model.neck.finest=1", "model.neck.extra=none"],
    "model/head/yolov1.yaml": ["model/neck=yolov1", "model.backbone.levels=[5]"],
}
# Sizes and copies of a page whose parts a default test composes.
VARIANTS = (
    *(
        "torchvision_",
        "mmdet_",
        "detectron2_",
        "yolov5s",
        "yolov8",
        "yolo11",
        "yolo_free_",
        "ssd512",
        "faster_rcnn_c4",
        "bccd_320_",
    ),
    *("dinov3", "timm_swin"),
    *("yolov2_tiny", "yolov3_tiny", "yolov4_tiny", "refinedet512", "cascade_rcnn", "fsaf_anchors"),
)


def words_for(page: Path) -> list[str]:
    words = [f"{page.parent.as_posix()}={page.stem}"]
    words += HEADS_ALONE.get(page.as_posix(), [])
    needs_path = page.parts[0] in ("data", "experiment")  # else it would be composed twice
    return [*words, "data.path=somewhere"] if needs_path else words


def composed_first(page: Path) -> object:
    slow = page.parts[0] == "experiment" and page.stem.startswith(("bccd", *VARIANTS))
    return pytest.param(page, marks=[pytest.mark.slow] if slow else [], id=str(page))


def built_first(page: Path) -> object:
    slow = page.parts[0] == "experiment" or page.stem.startswith(VARIANTS)
    slow = slow or (page.parts[1] == "head" and Path("model", page.name) in GROUP_PAGES)
    return pytest.param(page, marks=[pytest.mark.slow] if slow else [], id=str(page))


@pytest.mark.parametrize("page", [composed_first(p) for p in GROUP_PAGES if p.parts[0] != "model"])
def test_page_composes_and_passes_the_check(page: Path) -> None:
    config = compose("train", words_for(page))
    assert config["model"]["name"]
    assert config["trainer"]["max_epochs"] >= 1


@pytest.mark.parametrize("page", map(built_first, MODEL_PAGES))
def test_page_composes_passes_the_check_and_its_model_builds(page: Path) -> None:
    config = compose("train", words_for(page))
    assert config["trainer"]["max_epochs"] >= 1
    model = config["model"]
    detector = assembly.describe_on_meta(model, CLASSES)
    dense = detector.proposer if model["name"] == "two_stage" else detector.head
    if hasattr(dense, "region_count"):  # regions do not come from the levels
        assert dense.region_count > 100
        return
    by_level = dense.priors.per_cell if hasattr(dense, "priors") else dense.layers.strides
    assert len(by_level) == len(detector.neck.feature_specs)


def test_no_root_page_is_forgotten() -> None:
    included = {"multirun"}  # by train.yaml
    assert {page.stem for page in PAGES if len(page.parts) == 1} == {*slots.ROOTS, *included}


@pytest.mark.parametrize("root", ["resume", "evaluate", "predict"])
def test_checkpoint_gives_the_rest(root: str) -> None:
    trained = compose("train", ["model=fcos", "model.head.layers.convs=2", "logger=wandb"])
    words = ["ckpt=x"] + (["source=photos"] if root == "predict" else [])
    config = compose(root, words, trained)
    assert config["model"] == trained["model"]
    assert config["augmentation"] == trained["augmentation"]
    if root == "resume":
        assert {**config, "ckpt": None} == trained


def test_command_line_overrides_a_checkpoint() -> None:
    trained = compose("train", ["model=fcos"])
    words = ["ckpt=x", "model.head.postprocess.iou_threshold=0.7", "data=folder", "data.path=other"]
    config = compose("evaluate", words, trained)
    assert config["model"]["head"]["postprocess"]["iou_threshold"] == 0.7
    assert config["data"]["path"] == "other"
    assert config["data"]["reader"] == {"name": "auto"}


def test_one_word_swaps_a_loss_and_a_neck() -> None:
    words = ["model=fcos", "model/head/assigner=atss", "model.head.box_loss=diou"]
    head = compose("train", words)["model"]["head"]
    assert head["assigner"] == {"name": "atss", "topk": 9}
    assert head["box_loss"]["name"] == "diou"
