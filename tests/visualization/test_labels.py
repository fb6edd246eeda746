import random

from detkit.visualization.labels import Rectangle, place_labels


def rectangles(boxes, sizes, picture):
    placements = place_labels(boxes, [[size] for size in sizes], picture)
    return [placement and placement.rectangle for placement in placements]


def overlap(first, second):
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    return max(width, 0) * max(height, 0)


def test_a_label_is_on_its_box():
    labels = rectangles([Rectangle(20, 40, 60, 80)], [(10, 30)], (100, 100))
    assert labels == [Rectangle(20, 30, 50, 40)]


def test_at_the_border_a_label_stays_inside_the_picture():
    boxes = [Rectangle(0, 0, 50, 50), Rectangle(90, 60, 100, 100)]
    assert rectangles(boxes, [(10, 30)] * 2, (100, 100)) == [
        Rectangle(0, 0, 30, 10),
        Rectangle(70, 50, 100, 60),
    ]


def test_labels_of_one_box_lie_apart():
    labels = rectangles([Rectangle(30, 30, 70, 70)] * 4, [(10, 15)] * 4, (100, 100))
    pairs = [(a, b) for i, a in enumerate(labels) for b in labels[:i]]
    assert sum(overlap(a, b) for a, b in pairs) == 0


def test_a_label_takes_its_smaller_size_before_it_hides_an_object():
    boxes = [Rectangle(40, 40, 60, 60), Rectangle(30, 20, 70, 40), Rectangle(30, 60, 70, 80)]
    (placement, *_) = place_labels(boxes, [[(20, 30), (7, 8)], [], []], (100, 100))
    assert placement.size == 1


def test_a_crowd_hides_nothing_and_stays_inside():
    generator = random.Random(0)
    boxes = [
        Rectangle(x, y, x + 30, y + 20)
        for x, y in ((generator.uniform(0, 170), generator.uniform(0, 80)) for _ in range(40))
    ]
    labels = [label for label in rectangles(boxes, [(12, 40)] * 40, (100, 200)) if label]
    assert 0 < len(labels) < 40
    for label in labels:
        assert 0 <= label.left <= label.right <= 200
        assert 0 <= label.top <= label.bottom <= 100
    hidden = [sum(overlap(label, box) for label in labels) / 600 for box in boxes]
    assert max(hidden) <= 0.15


def test_a_label_wider_than_the_picture_starts_at_its_left():
    (label,) = rectangles([Rectangle(5, 50, 15, 60)], [(10, 300)], (100, 100))
    assert (label.left, label.right) == (0, 300)


def test_no_boxes():
    assert place_labels([], [], (10, 10)) == []
