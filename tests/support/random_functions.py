"""Random functions in Python: nests of every kind of control flow, and a world in which they run.

A function's choices come from a list of numbers that it takes as it goes; what it does, in its order, is written down
by the functions that it calls.
"""

import itertools
import linecache
import random
import warnings
from contextlib import contextmanager, suppress
from typing import Any

NAMES = ("a", "b", "c", "d")
SIMPLE = ("assign", "log", "augment", "delete", "raise", "tuple")
NESTED = (
    "if", "if", "if_else", "if_else", "elif", "while", "while_true", "for", "for_else", "with", "try", "finally",
    "match", "define",
)  # fmt: skip
MANAGERS = ("suppress(KeyError)", "noisy(1)", "suppress(ValueError), noisy(pick())", "failing(pick())")
_numbers = itertools.count()


def indented(block: list[str]) -> list[str]:
    """A block one step further in."""
    return ["    " + line for line in block]


class Programs:
    """Makes the texts of functions."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def function(self, depth: int) -> str:
        """A function of `a` and `b`; `d` may not have a value at first."""
        start = self.chance.choice(["c = 2", "c = d = 2"])
        lines = [start, *self.block(depth), "log(a); log(b); log(c)", "d = 1"]
        return "\n".join(["def program(a, b):", *indented(lines)]) + "\n"

    def block(self, depth: int, in_loop: bool = False, in_cleanup: bool = False) -> list[str]:
        """A few statements."""
        count = self.chance.randint(1, 3)
        return [line for _ in range(count) for line in self._statement(depth, in_loop, in_cleanup)]

    def _expression(self, depth: int = 2) -> str:
        name, number = self.chance.choice(NAMES), str(self.chance.randint(0, 3))
        if not depth or self.chance.random() < 0.4:
            return self.chance.choice([name, number, "pick()"])
        a, b, c = (self._expression(depth - 1) for _ in range(3))
        op = self.chance.choice(["<", "<=", "==", "!=", "is not"])
        return self.chance.choice(
            [
                f"({a} and {b} and {c})", f"({a} or {b})", f"(not {a})", f"({a} {op} {b} < {c})",
                f"({a} if {b} else {c})",
                f"len([{a} for e in range(pick())])", f"({name} := {a})", f"log({a})", f"({a} + {b})",
                f"({a} {op} {b})",
                f"sum([e or {name} for e in range(3) if e and {b}])",
            ]
        )  # fmt: skip

    def _statement(self, depth: int, in_loop: bool, in_cleanup: bool) -> list[str]:
        leaving = [] if in_cleanup else ["leave"] * 2  # Python's own `return` in a `finally` is refused
        leaving += ["jump"] * 3 if in_loop else []
        kind = self.chance.choice([*SIMPLE, *leaving, *((NESTED * 2) if depth else ())])
        value, name = self._expression(), self.chance.choice(NAMES)

        def block(loop: bool = in_loop, cleanup: bool = in_cleanup) -> list[str]:
            return indented(self.block(depth - 1, loop, cleanup))

        return list(getattr(self, f"_{kind}")(value, name, block))

    def _assign(self, value: str, name: str, block: Any) -> list[str]:
        return [f"{name} = {value}"]

    def _log(self, value: str, name: str, block: Any) -> list[str]:
        return [f"log({value})"]

    def _augment(self, value: str, name: str, block: Any) -> list[str]:
        return [f"{name} += {value}"]

    def _tuple(self, value: str, name: str, block: Any) -> list[str]:
        return [f"{name}, *_ = {value}, pick()"]

    def _delete(self, value: str, name: str, block: Any) -> list[str]:
        return [f"del {name}"] if self.chance.random() < 0.2 else [f"log({name})"]

    def _raise(self, value: str, name: str, block: Any) -> list[str]:
        return [f"if {value}: raise ValueError({name})"]

    def _leave(self, value: str, name: str, block: Any) -> list[str]:
        return [self.chance.choice([f"return {value}", "return"])]

    def _jump(self, value: str, name: str, block: Any) -> list[str]:
        return [self.chance.choice(["break", "continue"])]

    def _if(self, value: str, name: str, block: Any) -> list[str]:
        return [f"if {value}:", *block()]

    def _if_else(self, value: str, name: str, block: Any) -> list[str]:
        return [f"if {value}:", *block(), "else:", *block()]

    def _elif(self, value: str, name: str, block: Any) -> list[str]:
        return [f"if {value}:", *block(), f"elif {self._expression()}:", *block(), *self._else(block)]

    def _else(self, block: Any) -> list[str]:
        return ["else:", *block()] if self.chance.random() < 0.5 else []

    def _while(self, value: str, name: str, block: Any) -> list[str]:
        return [f"while tick() and {value}:", *block(True), *self._else(block)]

    def _while_true(self, value: str, name: str, block: Any) -> list[str]:
        return ["while True:", "    if not tick(): raise KeyError(0)", *block(True)]

    def _for(self, value: str, name: str, block: Any) -> list[str]:
        return [f"for {name} in numbers({value}):", *block(True)]

    def _for_else(self, value: str, name: str, block: Any) -> list[str]:
        return [f"for {name}, _ in pairs({value}):", *block(True), *self._else(block)]

    def _with(self, value: str, name: str, block: Any) -> list[str]:
        return [f"with {self.chance.choice(MANAGERS)}:", *block()]

    def _try(self, value: str, name: str, block: Any) -> list[str]:
        handler = ["except ValueError as error:", f"    log({value})", *block()]
        return ["try:", *block(), *handler, *self._else(block)]

    def _finally(self, value: str, name: str, block: Any) -> list[str]:
        return ["try:", *block(), "finally:", *block(False, True)]

    def _match(self, value: str, name: str, block: Any) -> list[str]:
        cases = (["case 0:", *block()], [f"case {name} if {name} == 1 or {value}:", *block()], ["case _:", *block()])
        return [f"match {value}:", *(line for case in cases for line in indented(case))]

    def _define(self, value: str, name: str, block: Any) -> list[str]:
        head = [f"def inner(x={value}):", f"    nonlocal {', '.join(NAMES)}"]
        return [*head, *block(False, False), f"inner() if {value} else log(0)"]


class World:
    """What a random function sees, and what it has done."""

    def __init__(self, choices: list[int]) -> None:
        self._choices = itertools.chain(choices, itertools.cycle((0, 1)))
        self.seen: list[Any] = []
        self.ticks = 60

    def names(self) -> dict[str, Any]:
        return {"pick": self.pick, "log": self.log, "tick": self.tick, "numbers": self.numbers, "pairs": self.pairs,
                "suppress": suppress, "noisy": self.noisy, "failing": self.failing}  # fmt: skip

    def pick(self) -> int:
        self.seen.append("pick")
        return next(self._choices)

    def log(self, value: Any) -> Any:
        self.seen.append(value if isinstance(value, int) else type(value).__name__)
        return value

    def tick(self) -> bool:
        self.seen.append("tick")
        self.ticks -= 1
        if self.ticks < -20:
            raise SystemError("runs on and on")
        return self.ticks > 0

    def numbers(self, n: Any) -> Any:
        for i in range(n % 4 if isinstance(n, int) else 2):
            self.seen.append(("item", i))
            if not self.tick():
                return
            yield i
        self.seen.append("end")

    def pairs(self, n: Any) -> Any:
        return ((i, i) for i in self.numbers(n))

    @contextmanager
    def noisy(self, n: Any) -> Any:
        self.seen.append("enter")
        try:
            yield n
        finally:
            self.seen.append("leave")

    @contextmanager
    def failing(self, n: int) -> Any:
        yield n
        self.seen.append("fails")
        if n % 2:
            raise ValueError(n)


def outcome(function: Any, world: World) -> Any:
    """What comes of calling a function, and all that it has done."""
    try:
        result = function(1, 0)
        found = ("returned", result if isinstance(result, (int, type(None))) else type(result).__name__)
    except NameError:  # of a variable of an outer function it is not an UnboundLocalError
        found = ("raised", NameError)
    except Exception as error:  # whatever it raises is part of what is compared
        found = ("raised", type(error), [type(x).__name__ for x in error.args])
    return found, world.seen


def define(text: str, world: World) -> Any:
    """Run a text that defines `program`."""
    filename = f"<random {next(_numbers)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    namespace = world.names()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python remarks on `is` between numbers
        exec(compile(text, filename, "exec"), namespace)
    return namespace["program"]
