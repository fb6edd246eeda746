"""Stages that run at the same time: order, errors, and a bounded number of frames."""

import threading
import time
from contextlib import closing

import pytest

from detkit.video.overlap import InBackground, NewestItems, frames_ahead, run_ahead


def test_items_come_in_order_from_another_thread():
    threads = (threading.get_ident() for _ in range(20))
    assert set(run_ahead(threads, 3)) & {threading.get_ident()} == set()
    assert list(run_ahead(range(100), 4)) == list(range(100))


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_than_the_limit_waits(ahead):
    made = []
    with closing(run_ahead((made.append(n) or n for n in range(50)), ahead)) as items:
        for consumed, _ in zip(range(1, 20), items, strict=False):
            time.sleep(0.001)
            assert len(made) <= consumed + ahead


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = run_ahead(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_closing_early_ends_the_thread():
    before = threading.active_count()
    ahead = run_ahead(iter(int, 1), 2)  # zeros without end
    next(ahead)
    ahead.close()
    assert threading.active_count() == before


def test_a_live_source_gives_the_newest_item():
    gate = threading.Semaphore(0)

    def camera():
        yield 1
        gate.acquire()
        yield from (2, 3, 4)
        gate.acquire()

    newest = NewestItems(camera())
    assert next(newest) == 1
    gate.release()
    while newest.dropped < 2:
        time.sleep(0.001)
    assert next(newest) == 4
    gate.release()
    assert list(newest) == []
    assert newest.dropped == 2


def test_a_live_source_passes_its_error_on():
    def camera():
        yield 1
        raise ValueError("unplugged")

    newest = NewestItems(camera())
    assert next(newest) == 1
    with pytest.raises(ValueError, match="unplugged"):
        next(newest)


def test_leaving_the_background_waits_for_all_items():
    done = []
    with InBackground(lambda item: (time.sleep(0.001), done.append(item)), 2) as background:
        for item in range(9):
            background.add(item)
    assert done == list(range(9))


def test_an_error_in_the_background_reaches_the_caller():
    def fail(item):
        if item == 0:
            raise OSError(f"disk full at {item}")

    with InBackground(fail, 1) as background:
        background.add(0)
        with pytest.raises(OSError, match="disk full at 0"):
            background.add(1)


@pytest.mark.parametrize(
    ("size", "frames"), [((480, 640), 8), ((2160, 3840), 5), ((4320, 7680), 1)]
)
def test_large_frames_wait_in_smaller_numbers(size, frames):
    assert frames_ahead(size) == frames
