"""`ingot.compile`: functions, modules and whole training steps, captured when first called and served from then on.

A compiled function works on live tensors: parameters, buffers, optimizer state, gradients and the random state are read
where they stand at each call, and changed there. For each signature (structure, dtypes and sizes of the arguments, and
what the function reads of Python's state) there is a variant; `explain()` says why each was made.
"""

from __future__ import annotations

import copy
import functools
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, overload

from ..backends.backend import get_backend
from ..ir.errors import ArgumentError, CaptureError, IngotError
from ..ir.locations import here
from ..ir.sizes import Size, var
from .bound import kept_with
from .compile_arguments import Arguments, Shown, arguments_of, differences, names_of
from .compile_capture import Numbers, capture, materialise
from .compile_explain import explain
from .compile_variant import Variant
from .mode import mode

__all__ = ["Compiled", "compile"]


class Compiled:
    """A compiled function. Made by `ingot.compile`; called like the original.

    Attributes:
        original: the function or module.
        variants: what was captured so far, in order.
        fallbacks: (why, calls) of what ran eagerly.
    """

    def __init__(
        self,
        original: Callable[..., Any],
        *,
        dynamic: Any,
        fallback: bool,
        max_variants: int,
        backend: str,
        script: bool,
    ) -> None:
        functools.update_wrapper(self, original, updated=())
        self.original = original
        self.variants: list[Variant] = []
        self.fallbacks: dict[str, int] = {}
        self.notes: list[str] = []
        self.dynamic = dynamic
        self.fallback = fallback
        self.max_variants = max_variants
        self.backend = backend
        self.script = script
        self._by_key: dict[Any, list[Variant]] = {}
        self._shown: dict[Variant, tuple[Any, ...]] = {}
        self._varying: dict[Any, set[tuple[int, int]]] = {}  # by structure, dimensions that are dynamic
        self._fixed: dict[Any, set[tuple[int, int]]] = {}  # those for which that failed
        self._static_numbers: set[tuple[int, Any]] = set()
        self._lock = threading.RLock()

    @property
    def __ingot_original__(self) -> Callable[..., Any]:
        return self.original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if mode.tracer is not None or mode.plain:  # within another capture, it is a part of that
            return self.original(*args, **kwargs)
        given = arguments_of(args, kwargs)
        found = self._find(given)
        if found is None:
            with self._lock:
                found = self._find_with_state(given)
                if found is None and self._make(given):
                    found = self._find_with_state(given)
                    if found is None:
                        self._failed(_unstable(self.variants[-1].difference(given)))
            if found is None:
                return self.original(*args, **kwargs)
        variant, slots = found
        return variant(given, slots)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method: one compiled function for each object, kept with it."""
        if instance is None:
            return self
        return kept_with(instance, f"__compiled_{self.original.__name__}", self.original, self._of)

    def _of(self, original: Callable[..., Any]) -> Compiled:
        """Another function, compiled with the same options."""
        return Compiled(
            original, dynamic=self.dynamic, fallback=self.fallback, max_variants=self.max_variants,
            backend=self.backend, script=self.script,
        )  # fmt: skip

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        """The copied function or module, not captured yet."""
        return self._of(copy.deepcopy(self.original, memo))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "original":
            raise AttributeError(name)
        return getattr(self.original, name)

    def __repr__(self) -> str:
        count = len(self.variants)
        return f"<compiled {_name(self.original)}, {count} variant{'s' if count != 1 else ''}>"

    # ------------------------------------------------------------------------------------------------- variants

    def _find(self, given: Arguments) -> tuple[Variant, list[Any]] | None:
        """The variant that serves a call, with the tensors that it reads."""
        candidates = self._by_key.get((given.structure, given.same, mode.grad))
        if candidates is None:
            return None
        for i, variant in enumerate(candidates):
            slots = variant.tensors(given)
            if slots is not None:
                if i:  # the latest first
                    candidates.insert(0, candidates.pop(i))
                return variant, slots
        return None

    def _find_with_state(self, given: Arguments, keep: bool = True) -> tuple[Variant, list[Any]] | None:
        """The same, after making what optimizers' first steps make; what is not wanted is taken back."""
        optimizers = {id(x): x for variant in self.variants for x in variant.optimizers}
        made = materialise(list(optimizers.values()))
        found = self._find(given)
        used = {id(tensor) for tensor in found[1]} if found is not None and keep else set()
        for entries, key, tensor in made:
            if id(tensor) not in used:
                del entries[key]
        return found

    def _make(self, given: Arguments) -> bool:
        """Make a new variant for a call; False where it is to run eagerly."""
        why, nearest = self._why(given)
        try:
            if len(self.variants) >= self.max_variants:
                raise self._too_many(why)
            variant = self._capture(given, why, nearest)
        except IngotError as error:
            return self._failed(error)
        self.variants.append(variant)
        self._by_key.setdefault((given.structure, given.same, mode.grad), []).insert(0, variant)
        return True

    def _capture(self, given: Arguments, why: str, nearest: Variant | None) -> Variant:
        numbers = self._numbers(nearest)
        dynamic = self._dynamic_dims(given, nearest)
        if dynamic:
            try:
                found = self._capture_once(given, why, dynamic, numbers)
                pinned = _pinned(found)
                if not pinned:
                    return found
                self._note(f"{pinned}: its sizes are fixed in each variant")
            except IngotError as error:
                self._note(f"sizes could not be dynamic: {error.what}")
            self._fixed.setdefault(given.structure, set()).update(dynamic)
        return self._capture_once(given, why, set(), numbers)

    def _capture_once(self, given: Arguments, why: str, dynamic: set[tuple[int, int]], numbers: Numbers) -> Variant:
        start = time.perf_counter()
        sizes, hints, named = _symbolic(given, dynamic)
        try:
            captured = capture(self.original, given, sizes, hints, numbers, self.script)
        except IngotError:
            if not numbers:
                raise
            self._static_numbers |= numbers
            captured = capture(self.original, given, sizes, hints, frozenset(), self.script)
        seconds = time.perf_counter() - start
        variant = Variant(len(self.variants) + 1, why, given, captured, named, self.backend, seconds)
        self._shown[variant] = self._shape_of(given)
        return variant

    def _shape_of(self, given: Arguments) -> tuple[Any, ...]:
        return (Shown.of(self.original, given), names_of(self.original, given)[0], given.facts, given.same, mode.grad)

    def _numbers(self, nearest: Variant | None) -> Numbers:
        """The numbers in optimizers' groups that have changed since an earlier variant, which the next one reads."""
        if nearest is None:
            return frozenset()
        return (nearest.changing_numbers() | nearest.number_places) - self._static_numbers

    def _dynamic_dims(self, given: Arguments, nearest: Variant | None) -> set[tuple[int, int]]:
        """The dimensions to make dynamic: those asked for, and those that have changed since an earlier variant."""
        if self.dynamic is False:
            return set()
        known = self._varying.setdefault(given.structure, set())
        if self.dynamic is True:
            known |= {(i, dim) for i, leaf in enumerate(given.facts) for dim in range(len(leaf.shape))}
        for variant in self.variants:
            before = self._shown[variant]
            if before[3] != given.same or len(before[2]) != len(given.facts):
                continue
            for i, (a, b) in enumerate(zip(before[2], given.facts, strict=True)):
                if len(a.shape) == len(b.shape):
                    known |= {(i, dim) for dim, (x, y) in enumerate(zip(a.shape, b.shape, strict=True)) if x != y}
        fixed = self._fixed.get(given.structure, set())
        return {(i, dim) for i, dim in known - fixed if given.facts[i].shape[dim] > 1}

    def _why(self, given: Arguments) -> tuple[str, Variant | None]:
        """What differs from the nearest earlier variant."""
        if not self.variants:
            return "the first call", None
        now = self._shape_of(given)
        best: tuple[int, str, Variant] | None = None
        for variant in reversed(self.variants):
            before = self._shown[variant]
            words = differences(before[:4], now[:4])
            if before[4] != mode.grad:
                words.append(
                    "gradients were not recorded, now they are"
                    if mode.grad
                    else "gradients were recorded, now they are not"
                )
            rank = len(words)
            if not words and (found := variant.difference(given)) is not None:
                words = [found]
            if words and (best is None or rank < best[0]):
                best = (rank, words[0], variant)
        return (best[1], best[2]) if best else ("sizes that no variant takes", self.variants[-1])

    # ------------------------------------------------------------------------------------------------- refusals

    def _too_many(self, why: str) -> CaptureError:
        return CaptureError(
            f"{_name(self.original)} has {len(self.variants)} variants, which is the most it may have",
            found=why,
            location=here(),
            notes=tuple(f"\n    variant {v.number}: {v.why}" for v in self.variants[1:]),
            advice="keep what changes in a tensor, or pass it as one; or allow more with max_variants=",
        )

    def _failed(self, error: IngotError) -> bool:
        """Raise an error, or count it where the original may run instead."""
        if not self.fallback:
            raise error
        reason = error.what
        if reason not in self.fallbacks:
            place = f" ({error.location})" if error.location else ""
            message = f"{_name(self.original)} runs eagerly: {reason}{place}"
            warnings.warn(message, stacklevel=5)
        self.fallbacks[reason] = self.fallbacks.get(reason, 0) + 1
        return False

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    # ------------------------------------------------------------------------------------------------- for users

    def warmup(self, *args: Any, **kwargs: Any) -> Variant:
        """Capture and compile for these arguments, and change nothing: as a first call would, without the call.

        Returns:
            the variant that will serve such calls.

        Raises:
            CaptureError: as a call does; also where fallback is allowed.
        """
        if mode.tracer is not None:
            raise CaptureError("warmup: a capture is already in progress")
        given = arguments_of(args, kwargs)
        with self._lock:
            found = self._find_with_state(given, keep=False)
            if found is not None:
                return found[0]
            allowed, self.fallback = self.fallback, False
            try:
                self._make(given)
            finally:
                self.fallback = allowed
            return self.variants[-1]

    def explain(self) -> str:
        """Every variant and why it was made, as a text to be printed.

        >>> import ingot
        >>> @ingot.compile(dynamic=False)
        ... def double(x):
        ...     return x * 2
        >>> _ = double(ingot.ones(8)), double(ingot.ones(5))
        >>> print(double.explain().splitlines()[0])
        double: 2 variants of at most 8, on numpy
        >>> double.variants[1].why
        "argument 'x': size of dimension 0 was 8, now 5"
        """
        return explain(self)

    def argument_names(self, variant: Variant) -> list[str]:
        """The paths of the tensors in the arguments that a variant was made for."""
        return list(self._shown[variant][1])

    def reset(self) -> None:
        """Forget all variants."""
        with self._lock:
            for held in (self.variants, self.fallbacks, self.notes, self._by_key, self._shown):
                held.clear()
            for more in (self._varying, self._fixed, self._static_numbers):
                more.clear()


def _name(func: Any) -> str:
    return getattr(func, "__qualname__", None) or type(func).__name__


def _unstable(why: str | None) -> CaptureError:
    return CaptureError(
        "the function changes, while it is captured, what it depends on",
        found=why or "",
        advice="change it outside of the compiled function",
    )


def _symbolic(
    given: Arguments, dynamic: set[tuple[int, int]]
) -> tuple[list[Sequence[Size]], dict[str, int], list[tuple[int, int, str]]]:
    """The arguments' sizes with variables for the dynamic ones; equal sizes are taken to be one variable."""
    hints: dict[str, int] = {}
    by_size: dict[int, str] = {}
    named: list[tuple[int, int, str]] = []
    sizes: list[Sequence[Size]] = []
    for i, leaf in enumerate(given.facts):
        found: list[Size] = list(leaf.shape)
        for dim, size in enumerate(leaf.shape):
            if (i, dim) in dynamic:
                name = by_size.setdefault(size, f"n{len(by_size)}")
                hints[name] = size
                found[dim] = var(name, 2)
                named.append((i, dim, name))
        sizes.append(tuple(found))
    return sizes, hints, named


def _pinned(variant: Variant) -> str | None:
    """Where a capture fixed a size that was to be dynamic."""
    for assumption in variant.assumptions:
        if assumption.relation.op == "==":
            place = f" at {assumption.location}" if assumption.location else ""
            return f"{assumption.relation} was needed{place}"
    return None


@overload
def compile(
    fn_or_module: Callable[..., Any],
    *,
    dynamic: bool | None = None,
    fullgraph: bool = True,
    max_variants: int = 8,
    backend: str = "numpy",
    script: bool = False,
) -> Compiled: ...
@overload
def compile(
    fn_or_module: None = None,
    *,
    dynamic: bool | None = None,
    fullgraph: bool = True,
    max_variants: int = 8,
    backend: str = "numpy",
    script: bool = False,
) -> Callable[[Callable[..., Any]], Compiled]: ...


def compile(
    fn_or_module: Callable[..., Any] | None = None,
    *,
    dynamic: bool | None = None,
    fullgraph: bool = True,
    max_variants: int = 8,
    backend: str = "numpy",
    script: bool = False,
) -> Any:
    """Compile a function, a module or a whole training step; also as a decorator.

    Each new kind of call is captured once, as a whole: forward, loss, backward and optimizer's update are one graph.
    The compiled function reads and changes the very tensors that the original does: both can be called in turns.

    Args:
        fn_or_module: what to compile.
        dynamic: whether sizes of arguments vary. By default those do that have been seen to; True takes all of them for
            dynamic from the beginning, False none ever.
        fullgraph: an error where capture fails. False runs the original instead, and says so with a warning.
        max_variants: the most captures that are kept.
        backend: what runs it: `"numpy"` or `"reference"`.
        script: capture Python's `if`, `while` and `for` on values that the data decide, as `jit.script` does.

    Returns:
        a `Compiled`, called like the original.

    Raises:
        CaptureError: when called, where the function does what a graph cannot hold, or has too many variants.

    >>> import ingot
    >>> @ingot.compile
    ... def f(x):
    ...     return (x * 2).relu()
    >>> f(ingot.tensor([1.0, -3.0]))
    tensor([2., 0.])
    >>> len(f.variants)
    1
    """
    if dynamic not in (None, True, False):
        raise ArgumentError(f"compile: dynamic is {dynamic!r}", expected="True, False or None")
    if not isinstance(max_variants, int) or max_variants < 1:
        raise ArgumentError(f"compile: max_variants is {max_variants!r}", expected="a number from 1")
    get_backend(backend)  # refuses what does not exist

    def wrap(original: Callable[..., Any]) -> Compiled:
        if not callable(original):
            raise ArgumentError(
                f"compile: a {type(original).__name__} cannot be called", expected="a function or module"
            )
        return Compiled(
            original, dynamic=dynamic, fallback=not fullgraph, max_variants=max_variants, backend=backend, script=script
        )

    return wrap if fn_or_module is None else wrap(fn_or_module)
