from detkit.data.data_summary import describe_splits
from detkit.data.readers.coco_reader import CocoReader


def test_skipped_images_are_counted_and_named(coco, coco_files):
    file = coco / "annotations/instances_val2017.json"
    coco_files(file, ["c.jpg", *(f"{number}.jpg" for number in range(5))], [])
    index = CocoReader().read(coco, "val")
    line = describe_splits({"train": index, "validation": index}, ["cat"])
    assert line.endswith(
        "5 images left out (val2017/0.jpg, val2017/1.jpg, val2017/2.jpg and 2 more)"
    )


def test_a_sound_data_set_gets_no_message(coco):
    line = describe_splits({"train": CocoReader().read(coco, "train")}, ["dog", "cat"])
    assert line == "train 2 images, 2 objects; 2 classes (dog, cat)"
