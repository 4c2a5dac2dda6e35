"""Fused groups, computed block by block over threads. Copied into emitted source by the rules of `runtime`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

__all__ = ["BLOCK", "Blocks", "Cut", "Pool", "Resized", "Scratch", "fused", "worker_count"]

BLOCK = 65536  # elements computed at once by one thread: they stay in the cache
SHARED_BLOCK = 2 * BLOCK  # by each of several: larger, as handing over the interpreter lock takes its time
SMALL = 4096  # elements of a group that is done sooner than arrays of constants are made
WAKING = 5e-4  # the most seconds to wait for another thread to begin
WORTH_THREADS = 1 << 21  # element operations below which waking another thread costs more than it saves


class Scratch:
    """Memory that the fused groups of a plan use in turn: one region for each thread."""

    def __init__(self) -> None:
        self.regions: dict[int, Any] = {}

    def arrays(self, thread: int, shape: tuple[int, ...], dtypes: Sequence[Any]) -> list[Any]:
        """Arrays of one shape, side by side in a thread's region."""
        wanted = sum(aligned(shape, dtype) for dtype in dtypes)
        known = self.regions.get(thread)
        if known is None or known.size < wanted:
            # Sizes that grow step by step do not take new memory at each step.
            self.regions[thread] = np.empty(wanted if known is None else max(wanted, 5 * known.size // 4), np.uint8)
        found, offset = [], 0
        for dtype in dtypes:
            found.append(np.ndarray(shape, dtype, self.regions[thread], offset))
            offset += aligned(shape, dtype)
        return found


def aligned(shape: tuple[int, ...], dtype: Any) -> int:
    """Bytes of an array, rounded up to whole cache lines."""
    return -(-prod(shape) * np.dtype(dtype).itemsize // 64) * 64


def worker_count() -> int:
    """How many threads compute at once: what was set, INGOT_NUM_THREADS, or as many as there are processors."""
    if Pool.limit():
        return Pool.limit()
    asked = os.environ.get("INGOT_NUM_THREADS", "")
    if asked and not (asked.isdecimal() and int(asked) > 0):
        raise ValueError(f"INGOT_NUM_THREADS is {asked!r}, not a number of threads")
    if asked:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def apart() -> Iterator[set[int]]:
    """Keep this thread on its processor, and give the others that it may use; none where that cannot be had, or where
    the machine is busy, so that the scheduler should have its way.

    In a virtual machine, Linux takes a processor that has been idle for a while for one that is not there: it wakes a
    thread on its waker's processor, where both then share the time for some milliseconds.
    """
    try:
        with open("/proc/loadavg") as file:
            busy = int(file.read().split()[3].partition("/")[0]) > 1
        with open("/proc/thread-self/stat") as file:
            here = int(file.read().rpartition(")")[2].split()[36])
        usual = os.sched_getaffinity(0) if not busy else {here}
        others = usual - {here}
        if others:
            os.sched_setaffinity(0, {here})
    except (OSError, AttributeError, IndexError, ValueError):
        others = set()
    try:
        yield others
    finally:
        if others:
            os.sched_setaffinity(0, usual)


class ThreadSettings(threading.local):
    """What a thread was told for itself. The default stands in the class: a missing attribute takes long to find."""

    most = 0


class Pool:
    """The threads that help; made when first needed, and anew in a forked process."""

    lock = threading.Lock()
    executor: ThreadPoolExecutor | None = None
    watches_forks = False
    most = 0  # threads that were asked for in this process, 0 where nobody said; in a thread, `own.most`
    own = ThreadSettings()

    @classmethod
    def limit(cls) -> int:
        """How many threads this thread's calls were told to use, or 0."""
        return cls.own.most or cls.most

    @classmethod
    def submit(cls, task: Callable[..., Any], *args: Any) -> Any:
        """Have a thread run the task; returns a future."""
        with cls.lock:
            if cls.executor is None:
                if not cls.watches_forks and hasattr(os, "register_at_fork"):
                    os.register_at_fork(after_in_child=cls.forget)
                cls.watches_forks = True
                cls.executor = ThreadPoolExecutor(max(worker_count(), os.cpu_count() or 1), "ingot")
        return cls.executor.submit(task, *args)

    @classmethod
    def forget(cls) -> None:
        """Begin without threads, as a forked process does."""
        cls.lock = threading.Lock()
        cls.executor = None


def fused(
    kernel: Callable[..., None],
    shape: tuple[int, ...],
    operands: Sequence[tuple[int, ...]],
    registers: Sequence[Any],
    constants: Sequence[tuple[Any, Any]],
    cost: int,
    scratch: Scratch,
) -> Callable[..., None]:
    """`kernel(*registers, *constants, *operands)` as a function of the operands alone.

    Args:
        kernel: element-wise from input operands to output operands; registers and constants have a block's shape.
        shape: of the whole index space, to which the operands broadcast.
        operands: their shapes.
        registers: dtypes of what the kernel keeps between its steps.
        constants: (value, dtype) of numbers that it needs as arrays.
        cost: its number of steps.
    """
    if prod(shape) <= BLOCK:
        filled = [np.full(shape, value, dtype) for value, dtype in constants]
        ahead = [*scratch.arrays(0, shape, registers), *filled]
        return partial(kernel, *ahead) if ahead else kernel
    return Blocks(kernel, shape, operands, registers, constants, cost, scratch)


class Resized:
    """A fused group whose sizes only the call shows, and that may have others at each call."""

    def __init__(
        self,
        kernel: Callable[..., None],
        registers: Sequence[Any],
        constants: Sequence[tuple[Any, Any]],
        cost: int,
        scratch: Scratch,
    ) -> None:
        self.kernel = kernel
        self.registers = registers
        self.constants = constants
        self.numbers = [np.dtype(dtype).type(value) for value, dtype in constants]
        self.cost = cost
        self.scratch = scratch
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.made: Callable[..., None] | None = None

    def __call__(self, *operands: Any) -> None:
        shapes = tuple([x.shape for x in operands])
        if self.made is None or shapes != self.shapes:
            self.shapes = shapes
            self.made = self.for_shapes(shapes)
        self.made(*operands)

    def for_shapes(self, shapes: tuple[tuple[int, ...], ...]) -> Callable[..., None]:
        """The group for operands of these shapes. A small one gets numbers for its constants, which take no making."""
        shape = shapes[-1]
        if prod(shape) > SMALL:
            return fused(self.kernel, shape, shapes, self.registers, self.constants, self.cost, self.scratch)
        return partial(self.kernel, *self.scratch.arrays(0, shape, self.registers), *self.numbers)


class Blocks:
    """A fused group over a large index space: block by block, over threads.

    Where all operands lie in memory as one piece (or are single numbers), the space is cut as one line, else along
    its leading dimensions. Which thread computes a block changes nothing about its numbers.
    """

    def __init__(
        self,
        kernel: Callable[..., None],
        shape: tuple[int, ...],
        operands: Sequence[tuple[int, ...]],
        registers: Sequence[Any],
        constants: Sequence[tuple[Any, Any]],
        cost: int,
        scratch: Scratch,
    ) -> None:
        self.kernel = kernel
        self.registers = registers
        self.constants = constants
        self.scratch = scratch
        self.threads = worker_count() if prod(shape) * cost >= WORTH_THREADS else 1
        self.whole = tuple(s == shape for s in operands)
        self.even = all(s == shape or prod(s) == 1 for s in operands)
        line = (prod(shape),)
        self.line = Cut(line, [line if whole else (1,) for whole in self.whole], self.threads)
        self.rows = Cut(shape, operands, self.threads)
        self.ready: dict[tuple[int, Cut], list[Any]] = {}

    def __call__(self, *operands: Any) -> None:
        cut = self.rows
        if self.even and all(x.flags.c_contiguous for x, whole in zip(operands, self.whole, strict=True) if whole):
            cut = self.line
            operands = tuple([x.reshape(-1) for x in operands])
        waiting = list(range(len(cut.parts) - 1, -1, -1))
        helpers = min(self.threads, len(waiting)) - 1
        if helpers <= 0:
            return self.work(0, cut, operands, waiting)
        awake = threading.Semaphore(0)
        with apart() as elsewhere:
            futures = [Pool.submit(self.help, i + 1, cut, operands, waiting, awake, elsewhere) for i in range(helpers)]
            # A thread that wakes up slower than NumPy works finds the interpreter lock taken, and sleeps again.
            awake.acquire(timeout=WAKING)
            self.work(0, cut, operands, waiting)
            for future in futures:
                if not future.cancel():
                    future.result()

    def help(
        self,
        thread: int,
        cut: Cut,
        operands: Sequence[Any],
        waiting: list[int],
        awake: threading.Semaphore,
        elsewhere: set[int],
    ) -> None:
        """Work in another thread, which has settings of its own for floating-point warnings."""
        if elsewhere:
            os.sched_setaffinity(0, elsewhere)
        awake.release()
        with np.errstate(all="ignore"):
            self.work(thread, cut, operands, waiting)

    def work(self, thread: int, cut: Cut, operands: Sequence[Any], waiting: list[int]) -> None:
        """Compute blocks until none is left."""
        own = self.own(thread, cut)
        while True:
            try:
                keys, rows = cut.parts[waiting.pop()]
            except IndexError:
                return
            part = [x[key] for x, key in zip(operands, keys, strict=True)]
            self.kernel(*(own if rows == cut.block[0] else [x[:rows] for x in own]), *part)

    def own(self, thread: int, cut: Cut) -> list[Any]:
        """A thread's registers, and the constants."""
        found = self.ready.get((thread, cut))
        if found is None:
            found = self.scratch.arrays(thread, cut.block, self.registers)
            shared = self.ready.get((0, cut))
            if shared is None:
                found += [np.full(cut.block, value, dtype) for value, dtype in self.constants]
            else:
                found += shared[len(self.registers) :]
            self.ready[thread, cut] = found
        return found


class Cut:
    """How an index space is cut into blocks: some leading indices fixed, then a range of the next one.

    Attributes:
        block: the shape of a whole block.
        parts: of each block, what to index each operand with, and its length.
    """

    def __init__(self, shape: tuple[int, ...], operands: Sequence[tuple[int, ...]], threads: int) -> None:
        most = BLOCK if threads == 1 else SHARED_BLOCK
        axis = 0
        while prod(shape[axis + 1 :]) > most:
            axis += 1
        inner, n = prod(shape[axis + 1 :]), shape[axis]
        count = -(-n * inner // most)
        if axis == 0 and count < 4 * threads:
            count = -(-count // threads) * threads
        step = -(-n // count)
        self.shape = shape
        self.block = (step, *shape[axis + 1 :])
        self.parts: list[tuple[list[Any], int]] = []
        for leading in product(*map(range, shape[:axis])):
            for start in range(0, n, step):
                stop = min(start + step, n)
                keys = {
                    operand: self.key(operand, (*leading, slice(start, stop))) for operand in dict.fromkeys(operands)
                }
                self.parts.append(([keys[operand] for operand in operands], stop - start))

    def key(self, operand: tuple[int, ...], at: tuple[Any, ...]) -> tuple[Any, ...]:
        """What to index an operand of some shape with to get its part of the block at `at`."""
        absent = len(self.shape) - len(operand)
        found: list[Any] = []
        for axis in range(absent, len(at)):
            single = operand[axis - absent] == 1 != self.shape[axis]
            whole: Any = slice(None) if isinstance(at[axis], slice) else 0
            found.append(whole if single else at[axis])
        return tuple(found)
