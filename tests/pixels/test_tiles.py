"""Where the tiles of an image are."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detkit.pixels.tiles import tile_windows

# a busy machine is slow whatever is drawn
CHECKED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
sides = st.integers(1, 90)
sizes = st.tuples(sides, sides)


def test_the_last_tiles_are_shifted_inward():
    windows = tile_windows((100, 70), (40, 40), 0.25)
    assert [window[:2] for window in windows[:2]] == [(0, 0), (30, 0)]
    assert [window.top for window in windows[::2]] == [0, 30, 60]
    assert {window.size for window in windows} == {(40, 40)}


def test_an_image_smaller_than_a_tile_is_one_tile():
    assert tile_windows((30, 20), (40, 40), 0.5) == [(0, 0, 20, 30)]
    assert tile_windows((40, 40), (40, 40), 0.5) == [(0, 0, 40, 40)]


@CHECKED
@given(sizes, sizes, st.floats(0, 0.99))
def test_tiles_cover_the_image_and_share_what_was_asked_for(image, tile, overlap):
    windows = tile_windows(image, tile, overlap)
    seen = np.zeros(image, np.bool_)
    for left, top, right, bottom in windows:
        seen[top:bottom, left:right] = True
    assert seen.all()
    assert {window.size for window in windows} == {tuple(np.minimum(image, tile))}
    starts = sorted({window.left for window in windows})
    assert all(np.diff(starts) <= tile[1] - int(tile[1] * overlap))
    assert len(set(windows)) == len(windows)


@CHECKED
@given(st.sampled_from([0.0, 0.2, 0.5]), sizes, st.integers(8, 40), st.data())
def test_an_object_no_larger_than_the_overlap_is_whole_in_a_tile(overlap, image, tile, data):
    shared = int(tile * overlap)
    lows = [data.draw(st.integers(0, length - 1)) for length in image]
    highs = [min(low + max(shared, 1), length) for low, length in zip(lows, image, strict=True)]
    assert any(
        window.top <= lows[0]
        and highs[0] <= window.bottom
        and window.left <= lows[1]
        and highs[1] <= window.right
        for window in tile_windows(image, (tile, tile), overlap)
    )
