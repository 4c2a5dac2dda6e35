"""Functions with every form of Python that a rewritten function may hold, and arguments for them.

They stand here and not in a test because pytest changes the assertions of tests.
"""

# Forms that one would not write are among what is tested.
# ruff: noqa: B007, B023, F821, F823, F841, SIM201

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
CASES: list[tuple[Function, tuple[Any, ...]]] = []
LIMIT = 3


def case(*calls: tuple[Any, ...]) -> Callable[[Function], Function]:
    """Compare this function with its rewritten self, for each of these arguments."""

    def add(function: Function) -> Function:
        CASES.extend((function, arguments) for arguments in calls)
        return function

    return add


@case((1,), (-1,), (0,))
def early_returns(x: int) -> str:
    """Its docstring."""
    if x > 0:
        return "above"
    if x < 0:
        return "below"
    return "zero"


@case((5, 2), (5, 9), (0, 0))
def return_out_of_nested_loops(n: int, wanted: int) -> Any:
    for i in range(n):
        for j in range(n):
            if i * j == wanted:
                return i, j
        else:
            wanted -= 1
    return None


@case(([1, 2, 3],), ([],), ([4, 0, 1],))
def for_else(items: list[int]) -> Any:
    for item in items:
        if not item:
            break
    else:
        return "whole", locals_of(items)
    return item


def locals_of(value: Any) -> Any:
    return value


@case((iter([1, 2, 3, 4]),))
def break_leaves_the_iterator(items: Any) -> Any:
    items = iter([1, 2, 3, 4])
    for item in items:
        if item == 2:
            break
    return item, list(items)


@case((3,), (0,))
def loop_variable_stays(n: int) -> Any:
    for i in range(n):
        pass
    return i


@case((True,), (False,))
def unbound_on_one_side(flag: bool) -> Any:
    if flag:
        x = 1
    return x


@case((True,), (False,))
def deleted_on_one_side(flag: bool) -> Any:
    x = 1
    if flag:
        del x
    return x


@case((2,), (0,))
def targets(n: int) -> Any:
    class Box:
        pass

    box, table = Box(), {}
    for box.item in range(n):
        for table[box.item], *rest in [(1, 2, 3), (4, 5)]:
            if rest:
                (a, [b, *c]) = 1, rest
    return box.__dict__, table, (a, b, c) if n else None


@case((1,), (5,), (-3,))
def walrus(x: int) -> Any:
    if (y := x + 1) > 3 or (z := y * 2) < 0:
        pass
    while (y := y - 1) > 0 and (w := y) > 1:
        if (v := w) and (u := v + y):
            continue
    return y, [t := q for q in range(3)], (t and (s := t)), s


@case((1, 2, 3), (3, 2, 1), (2, 2, 2))
def chains(a: int, b: int, c: int) -> Any:
    order: list[str] = []

    def see(x: int) -> int:
        order.append(x)
        return x

    return (see(a) < see(b) <= see(c), see(a) != see(b) in (see(c), see(a)) is not None, order)


@case((0,), (1,), ([],), ("x",))
def values_of_and_or(x: Any) -> Any:
    return (x and 1) or [], not x, x or None, (x or 0) and "last", x if x else "else"


@case((3,), (0,))
def closures(n: int) -> Any:
    count = 0
    found: list[Callable[[], int]] = []

    def add(k: int = n) -> int:
        nonlocal count
        if k > 1:
            count += k
            return count
        count -= 1
        return -count

    for i in range(n):
        if i % 2:
            add(i)
        found.append(lambda: (i, count) if i else i)
        found.append(lambda i=i: (i, count) if i else i)
    return add(), [f() for f in found], count


@case((3,))
def lambdas_in_comprehensions_share_their_variable(n: int) -> Any:
    return [f() for f in [lambda: x for x in range(n)]], [next(g) for g in [(x for _ in "a") for x in range(n)]]


@case((4,), (0,))
def comprehensions(n: int) -> Any:
    pairs = [a + b for a, b in zip(range(n), range(n), strict=True)]
    table = {k: v if v else "zero" for k, v in enumerate(pairs) if (k and v) or k > 2}
    lazy = (x if x > 1 else -x for x in pairs if not x == 4)
    return pairs, table, list(lazy), {x % 2 for x in pairs}, [x * y for x in range(n) for y in range(x) if x > y > 0]


@case(([(1, 2)],), ([(1,)],), ([1],))
def comprehension_takes_items_apart(items: Any) -> Any:
    return [a for a, b in items]


@case((3,), (0,))
def try_in_loop(n: int) -> Any:
    seen = []
    for i in range(n):
        try:
            if i == 1:
                continue
            if i == 2:
                return seen
            seen.append(10 // i)
        except ZeroDivisionError as error:
            seen.append(type(error))
            continue
        else:
            seen.append("else")
        finally:
            seen.append("finally")
        seen.append("end")
    return seen


@case((0,), (1,), (2,))
def exit_undone_by_an_exception(n: int) -> Any:
    seen: list[Any] = []
    for i in range(3):
        try:
            with Raises(i == n, seen):
                if i == n:
                    return "returned", seen
                break
        except ValueError:
            seen.append(("caught", i))
        seen.append(i)
    return seen


@case((0,), (1,), (2,))
def exit_undone_by_with(n: int) -> Any:
    seen: list[Any] = []
    for i in range(3):
        with Raises(False, seen, swallows=True):
            for j in range(2):
                with Raises(i == n, seen):
                    if j == 1:
                        return "returned", seen
        seen.append(i)
    return seen


class Raises:
    """Raises an error at its end, or swallows those of others."""

    def __init__(self, raises: bool, seen: list[Any], swallows: bool = False) -> None:
        self.raises, self.seen, self.swallows = raises, seen, swallows

    def __enter__(self) -> Any:
        self.seen.append("enter")
        return self

    def __exit__(self, *facts: Any) -> bool:
        self.seen.append(("exit", facts[0]))
        if self.raises:
            raise ValueError
        return self.swallows


@case((1,), (0,))
def reraise(x: int) -> Any:
    try:
        try:
            return 1 // x
        except ZeroDivisionError:
            if not x:
                raise
            return 0
    except ZeroDivisionError as error:
        if error.args:
            return error.args
    return "no arguments"


@case(({"a": 1, "b": [2, 3]},), ([1, 2, 3],), ((4,),), (5,), ("s",))
def patterns(x: Any) -> Any:
    for _ in range(2):
        match x:
            case {"a": int(a), **others} if a and others:
                return a, others
            case [first, *rest] if len(rest) > 1:
                x = rest
                continue
            case [only] | only if only:
                if only == 5:
                    break
            case _:
                return None
    return x


@case((1,), (0,))
def declares_global(x: int) -> Any:
    global made_here
    if x:
        made_here = x
    else:
        made_here = None
        del made_here
    return "made_here" in globals()


@case((1,), (0,))
def imports(x: int) -> Any:
    if x:
        import os.path
        from math import pi as circle
    else:
        import math as os

        circle = 3
    return os.__name__, circle


@case((1,), (-1,))
def annotated(x: int) -> Any:
    y: undefined_type
    z: undefined_type = x
    if x > 0:
        y: undefined_type = 1
        z: undefined_type
    table = {}
    table[0]: int = z
    return y, z, table


@case((1,), (0,))
def asserts(x: int) -> Any:
    if x >= 0:
        assert x, f"not {x!r:>3}"
    assert x
    return f"{x if x else 'none'!s:{5 if x else 6}}"


@case((3,))
def recursion(n: int) -> int:
    return n * recursion(n - 1) if n > 1 else 1


@case((5,), (1,))
def nested_function_with_control_flow(n: int) -> Any:
    def collatz(k: int) -> int:
        steps = 0
        while k != 1:
            if k % 2:
                k = 3 * k + 1
            else:
                k //= 2
            steps += 1
        return steps

    def numbers() -> Any:
        for i in range(n):
            if i > 1:
                yield collatz(i)

    return list(numbers())


@case((2,), (0,))
def local_class(n: int) -> Any:
    class Local:
        value = [n for _ in range(n)] if n else None

        def get(self) -> Any:
            return self.value if self.value else n

    return Local().get(), Local.__qualname__.rsplit(".", 2)[1:], Local.get.__qualname__.rsplit(".", 2)[1:]


@case((1, 2), (1, 2, 3), (1,))
def parameters(a: int, /, b: int = 5, *others: int, key: Any = None, **more: Any) -> Any:
    if others:
        a, b = b, a
        key = key or more
    return a, b, others, key, more


@case((3,))
def starred_calls(n: int) -> Any:
    return parameters(*range(n), **{"key": 1, "z": 2}), parameters(n, *(), *[1], key=n if n > 5 else -n)


@case((3,))
def dead_code_makes_locals(n: int) -> Any:
    if n:
        return LIMIT
        LIMIT = 1
    return LIMIT


@case((7,), (0,))
def while_true(n: int) -> Any:
    found = 0
    while True:
        found += 1
        if found > n:
            break
        if found % 2:
            continue
        while True:
            n -= 1
            if n < 4:
                return found, n
    else:
        found = None
    return found


class Counter:
    """Methods: private names, `super()`, a class attribute."""

    start = 1
    __hidden = 10

    def __init__(self, n: int = 0) -> None:
        self.__n = n

    def step(self, by: int) -> int:
        __local = by if by else self.__hidden
        if __local > 1:
            self.__n += __local
        else:
            __local = -1
        return self.__n + __local

    @property
    def n(self) -> int:
        return self.__n


class Doubled(Counter):
    def step(self, by: int) -> int:
        if by > 0:
            first = super().step(by)
        else:
            first = (lambda me: super().step(by))(self) if False else super(__class__, self).step(by)  # noqa: UP008
        return 2 * first if first else 0

    @classmethod
    def make(cls, n: int) -> Any:
        return cls(n) if n else super().__new__(cls)
