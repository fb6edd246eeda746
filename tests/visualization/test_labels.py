import random

from detkit.visualization.labels import Rectangle, place_labels


def test_overlap_by_hand():
    box = Rectangle(0, 0, 10, 10)
    assert box.overlap(Rectangle(8, 5, 20, 20)) == 2 * 5
    assert box.overlap(Rectangle(10, 0, 20, 10)) == 0


def test_a_label_stands_on_its_box():
    places = place_labels([Rectangle(20, 40, 60, 80)], [(10, 30)], (100, 100))
    assert places == [Rectangle(20, 30, 50, 40)]


def test_at_the_border_a_label_stays_inside_the_picture():
    boxes = [Rectangle(0, 0, 50, 50), Rectangle(90, 60, 100, 100)]
    assert place_labels(boxes, [(10, 30)] * 2, (100, 100)) == [
        Rectangle(0, 0, 30, 10),
        Rectangle(70, 50, 100, 60),
    ]


def test_labels_of_one_box_lie_apart():
    places = place_labels([Rectangle(30, 30, 70, 70)] * 6, [(10, 15)] * 6, (100, 100))
    pairs = [(a, b) for i, a in enumerate(places) for b in places[:i]]
    assert sum(a.overlap(b) for a, b in pairs) == 0


def test_a_crowd_stays_inside():
    generator = random.Random(0)
    boxes = [
        Rectangle(x, y, x + 30, y + 20)
        for x, y in ((generator.uniform(0, 170), generator.uniform(0, 80)) for _ in range(40))
    ]
    for place in place_labels(boxes, [(12, 40)] * 40, (100, 200)):
        assert place.left >= 0
        assert place.top >= 0
        assert place.right <= 200
        assert place.bottom <= 100


def test_a_label_wider_than_the_picture_starts_at_its_left():
    (place,) = place_labels([Rectangle(5, 50, 15, 60)], [(10, 300)], (100, 100))
    assert (place.left, place.right) == (0, 300)


def test_no_boxes():
    assert place_labels([], [], (10, 10)) == []
