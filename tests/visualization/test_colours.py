import pytest

from detkit.visualization.colours import class_colour, luminance, text_colour

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def test_colours_are_distinct_and_belong_to_the_index():
    colours = [class_colour(label) for label in range(80)]
    assert len(set(colours)) == 80
    assert colours == [class_colour(label) for label in range(80)]
    assert all(0 <= part <= 255 for colour in colours for part in colour)


def test_luminance_by_hand():
    assert luminance(BLACK) == 0
    assert luminance(WHITE) == pytest.approx(1)
    assert luminance((255, 0, 0)) == pytest.approx(0.2126)


@pytest.mark.parametrize("label", range(80))
def test_text_can_be_read_on_each_colour(label):
    plate = class_colour(label)
    bright, dark = sorted((luminance(plate), luminance(text_colour(plate))), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 3  # WCAG 2: large text
