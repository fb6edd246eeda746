"""Decode, predict and encode at the same time, with a bounded number of frames in memory.

One worker thread per stage: FFmpeg, NumPy, Pillow and the engines release Python's lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()
_MOST_AHEAD = 8  # frames; more do not make it faster
_MEMORY = 2**27  # bytes of frames that one stage may hold


def frames_ahead(size: tuple[int, int]) -> int:
    """How many frames of a size (height, width) a stage may hold: 8, or fewer from 4K on."""
    return max(1, min(_MOST_AHEAD, _MEMORY // (3 * size[0] * size[1])))


def run_ahead(items: Iterable[T], ahead: int) -> Generator[T, None, None]:
    """The same items, made in another thread while the caller works on earlier ones.

    Args:
        items: Iterated by the other thread alone; what it raises comes at its position.
        ahead: The most items that wait for the caller.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, iterator, _END) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not _END:
                yield item
                waiting.append(pool.submit(next, iterator, _END))
        finally:
            for future in waiting:
                future.cancel()


class NewestItems(Iterator[T]):
    """The newest item each time the caller asks: a camera does not wait for a slow network.

    Args:
        items: Iterated by another thread as fast as they come.

    Attributes:
        dropped: How many items the caller was too slow for.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self.dropped = 0
        self._items = items
        self._newest: Any = None
        self._error: BaseException | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        """Wait for an item that was not returned yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None)
            item: Any = self._newest
            self._newest = _END if item is _END else None
            self._changed.notify_all()
        if item is _END:
            raise self._error or StopIteration
        value: T = item
        return value

    def close(self) -> None:
        """Stop the thread after the item that it waits for."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def _receive(self) -> None:
        try:
            for item in self._items:
                if self._stopped:
                    break
                self._offer(item)
        except BaseException as error:
            self._error = error
        with self._changed:
            self._changed.wait_for(lambda: self._newest is None or self._stopped)
            self._newest = _END
            self._changed.notify_all()

    def _offer(self, item: T) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = item
            self._changed.notify_all()


class InBackground:
    """Calls a function with one item after the other in another thread.

    Leaving the context waits for the items that were added.

    Args:
        function: Raises what the next call of `add`, or the end of the context, raises.
        ahead: The most items that wait; `add` blocks when there are more.
    """

    def __init__(self, function: Callable[[Any], None], ahead: int) -> None:
        self._function, self._ahead = function, ahead
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def add(self, item: Any) -> None:
        """Hand an item to the thread."""
        self._waiting.append(self._pool.submit(self._function, item))
        while len(self._waiting) > self._ahead:
            self._waiting.popleft().result()

    def __enter__(self) -> InBackground:
        """The same object."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all items; an earlier error of the caller comes before one of the thread."""
        self._pool.shutdown(wait=True)
        for future in self._waiting if error is None else ():
            future.result()
