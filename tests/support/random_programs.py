"""Random modules whose control flow depends on tensors and on dynamic sizes, as text that can be made shorter.

What lives here: `Maker`, which writes the statements; `Statement`, of which a program's text is made, so that parts of
it can be left out; `define`, which makes a class of the text. What is done with the class is the tests' business.

Names say what they hold: `m*` rows of three, `c*` a column, `v*` vectors of three, `s*` tensors without dimensions,
`g` a varying number of rows, `k*` integers, `f*` floats, `b*` truth values, `xs` a list of vectors.
"""

from __future__ import annotations

import itertools
import linecache
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = ["Maker", "Statement", "define", "shorter", "text_of"]

_numbers = itertools.count()

FRAME: Final = """\
def settle(a, b):
    if (a > b).all():
        return a - b
    halvings = 0
    while a.abs().sum() > 4 and halvings < 9:
        a, halvings = a / 2, halvings + 1
    return (a + b).clamp(-3, 3)


def pick(rows, k):
    for i, row in enumerate(rows):
        if i >= k:
            return row * 1
    return rows[0] * 0.5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(ingot.tensor([0.5, -0.25, 1.0]))
        self.register_buffer("seen", ingot.tensor([0.0, 1.0, -1.0]))
        self.register_buffer("steps", ingot.tensor(0))
        self.last = ingot.tensor([0.25, 0.5, 0.75])
        self.scale = 0.5
        self.count = 1

    def bump(self, a):
        if a.sum() > self.seen.sum():
            with ingot.no_grad():
                self.seen += a.detach()
            return a * 0.5
        self.steps += 1
        return a + self.seen

    def forward(self, x, y, t, u):
"""

START: Final = [
    "x = x.clone()",
    "m, q, c = x * 1, x.tanh(), y * 1",
    "v, z = x.sum(0).tanh(), self.w * 2",
    "s, r = y.sum(), v[0] * 1",
    "g = x[:1] * 1",
    "k, j = 1, 2",
    "f, h = 0.25, 1.5",
    "b = False",
    "xs = [v * 1, z * 1]",
]

OPERANDS: Final = {
    "M": ("m", "q"), "C": ("c", "y"), "V": ("v", "z"), "S": ("s", "r"), "I": ("k", "j"), "F": ("f", "h"), "B": ("b",),
    "K": ("1", "k % 3", "t.item()"), "g": ("g",),
}  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """A statement: its lines, or a head and a body for each of its clauses.

    Attributes:
        lines: the text, where there are no clauses.
        clauses: heads, and what stands under them.
    """

    lines: tuple[str, ...] = ()
    clauses: tuple[tuple[str, tuple[Statement, ...]], ...] = ()

    def text(self) -> list[str]:
        if not self.clauses:
            return list(self.lines)
        return [line for head, body in self.clauses for line in (head, *indented(text_of(body) or ["pass"]))]


def indented(lines: list[str], by: int = 4) -> list[str]:
    """Lines further in."""
    return [" " * by + line for line in lines]


def text_of(statements: tuple[Statement, ...]) -> list[str]:
    """The lines of statements."""
    return [line for statement in statements for line in statement.text()]


def shorter(statements: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    """What remains when a part is left out: a statement, a clause, or the head of one."""
    for i, one in reversed(list(enumerate(statements))):
        before, after = statements[:i], statements[i + 1 :]
        if one.lines[:1] and one.lines[0] in START:
            continue
        yield before + after
        for n, (head, body) in enumerate(one.clauses):
            yield before + body + after
            if n:
                yield (*before, replace(one, clauses=one.clauses[:n] + one.clauses[n + 1 :]), *after)
            for less in shorter(body):
                clauses = (*one.clauses[:n], (head, less), *one.clauses[n + 1 :])
                yield (*before, replace(one, clauses=clauses), *after)


def define(statements: tuple[Statement, ...]) -> tuple[type, str]:
    """The class `Net` with these statements as its `forward`, and the text."""
    body = "\n".join(indented(text_of(statements), 8)) + "\n"
    text = "import ingot\nfrom ingot import nn\n\n\n" + FRAME + body
    filename = f"<random program {next(_numbers)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"__name__": "random_program"}
    exec(compile(text, filename, "exec"), namespace)
    return namespace["Net"], text


class Maker:
    """Writes statements.

    Args:
        chance: makes the choices.
        gradients: the program ends with gradients of what it has computed.
    """

    def __init__(self, chance: random.Random, gradients: bool = False) -> None:
        self.chance = chance
        self.gradients = gradients
        self._fresh = itertools.count()
        self._loops: list[str] = []
        self._growing: list[str] = []
        self._branches = 0

    def program(self) -> tuple[Statement, ...]:
        """The statements of `forward`."""
        start = [Statement((line,)) for line in START]
        return (*start, *self.block(3, self.chance.randint(3, 6)), self._result())

    def _result(self) -> Statement:
        if not self.gradients:
            return Statement((f"return {self._returned()}",))
        loss = "loss = (v * z).sum() + s + r + m.tanh().sum() + (self.w * self.w).sum() + (g * g).tanh().sum()"
        return Statement((loss, "loss.backward()", "return self.w.grad, v.detach(), k, f"))

    def _returned(self) -> str:
        return "m, q, c, v, z, s, r, g, k, j, f, h, b"

    # ------------------------------------------------------------------------------------------------ expressions

    def of(self, kind: str, depth: int = 2) -> str:
        """An expression of a kind."""
        if not depth or self.chance.random() < 0.35:
            return self.chance.choice(OPERANDS[kind])
        return self._filled(self.chance.choice(FORMS[kind]), depth - 1)

    def _filled(self, form: str, depth: int) -> str:
        """A form with expressions for its capital letters."""
        words = []
        for word in form.split("$"):
            kind, rest = word[:1], word[1:]
            words.append(self._slot(kind, depth) + rest if words else word)
        return "".join(words)

    def _slot(self, kind: str, depth: int) -> str:
        if kind == "N":
            return str(self.chance.randint(0, 4))
        if kind == "P":
            return str(self.chance.randint(2, 4))
        if kind == "X":
            return str(self.chance.choice([-0.5, 0.25, 0.37, 1.13, 2.0]))
        if kind == "O":
            return self.chance.choice(["<", "<=", ">", ">=", "==", "!="])
        found = self.of(kind, depth)
        return f"({found})" if " " in found else found

    def condition(self) -> str:
        """A condition of an `if` or a `while`."""
        return self._filled(self.chance.choice(FORMS["B"]), 1)

    # ------------------------------------------------------------------------------------------------- statements

    def block(self, depth: int, count: int | None = None) -> tuple[Statement, ...]:
        """A few statements."""
        return tuple(self.statement(depth) for _ in range(count or self.chance.randint(1, 3)))

    def statement(self, depth: int) -> Statement:
        """One statement."""
        if depth and self.chance.random() < 0.5:
            kinds: list[Callable[[int], Statement]] = [self._if, self._if, self._if, self._for, self._for, self._while]
            if not self._loops or self.chance.random() < 0.1:
                kinds += [self._collect, self._define]
            return self.chance.choice(kinds)(depth)
        if self._loops and self.chance.random() < (0.02 if self._growing else 0.15):
            return Statement(clauses=((f"if {self.condition()}:", (Statement((self._leave(),)),)),))
        # What a backward() in a branch has walked cannot be walked behind it: most programs with one are refused.
        if not self._growing and not self.gradients and self.chance.random() < 0.04:
            result = self._result()
            if self.chance.random() < 0.85:  # of their own: what is returned may not be changed behind the branch
                result = Statement(tuple(line.replace(", ", " * 1, ") for line in result.lines))
            return Statement(clauses=((f"if {self.condition()}:", (result,)),))
        forms = [form for form in SIMPLE if not self._branches or not form.startswith(RESIZING)]
        if self.chance.random() < 0.85:
            forms = [form for form in forms if form not in SHARING]
        return Statement((self._filled(self.chance.choice(forms), 2),))

    def _leave(self) -> str:
        return self.chance.choice(["break", "continue"])

    def _if(self, depth: int) -> Statement:
        self._branches += 1
        clauses = [(f"if {self.condition()}:", self.block(depth - 1))]
        while self.chance.random() < 0.25:
            clauses.append((f"elif {self.condition()}:", self.block(depth - 1)))
        if self.chance.random() < 0.5:
            clauses.append(("else:", self.block(depth - 1)))
        self._branches -= 1
        return Statement(clauses=tuple(clauses))

    def _looped(self, depth: int) -> tuple[Statement, ...]:
        self._loops.append("")
        found = self.block(depth - 1)
        self._loops.pop()
        return found

    def _for(self, depth: int) -> Statement:
        i = f"i{next(self._fresh)}"
        head = self._head().replace("#", i)
        body = self._looped(depth)
        first = self._filled(self.chance.choice(ROW_USES if "row" in head.split(" in ")[0] else NUMBER_USES), 1)
        return self._ended((head, (Statement((first.replace("#", i),)), *body)))

    def _head(self) -> str:
        heads = SHARING_LOOPS if self.chance.random() < 0.05 else LOOPS
        return self._filled(self.chance.choice(heads), 1)

    def _ended(self, loop: tuple[str, tuple[Statement, ...]]) -> Statement:
        if self.chance.random() < 0.15:
            return Statement(clauses=(loop, ("else:", self.block(0))))
        return Statement(clauses=(loop,))

    def _while(self, depth: int) -> Statement:
        n = f"n{next(self._fresh)}"
        bound = self.chance.choice(["3", "t.item()", "x.shape[0]", "4", "int(u.sum()) % 4"])
        test = self.chance.choice([f"while {n} < {bound}:", f"while {n} < {bound} and {self.condition()}:"])
        body = (Statement((f"{n} += 1",)), *self._looped(depth))
        if self.chance.random() < 0.2:
            stop = Statement(clauses=((f"if {n} > 2 or {self.condition()}:", (Statement(("break",)),)),))
            test, body = "while True:", (body[0], stop, *body[1:])
        # The counter's start is not to be left out, so that the loop ends: it stands in the first line.
        clauses = self._ended((test, body)).clauses
        return Statement(clauses=(("if True:", (Statement((f"{n} = 0",)), Statement(clauses=clauses))),))

    def _collect(self, depth: int) -> Statement:
        """A list that grows in a loop, and what is made of it."""
        xs, i = f"ys{next(self._fresh)}", f"i{next(self._fresh)}"
        head = self._head().replace("#", i)
        first = self._filled(self.chance.choice(ROW_USES if "row" in head.split(" in ")[0] else NUMBER_USES), 1)
        self._loops.append("")
        self._growing.append(xs)
        body = self.block(min(depth - 1, 1))
        self._growing.pop()
        self._loops.pop()
        start = self.chance.choice([f"{xs} = []", f"{xs} = [{self.of('V')}]"])
        possible = [use for use in LIST_USES if not self._branches or not use.startswith(RESIZING)]
        uses = [use.replace("@", xs) for use in self.chance.sample(possible, 2)]
        append = Statement((f"{xs}.append(({self.of('V')}) * 1)",))
        if self.chance.random() < 0.5:
            start, append = f"{xs} = [{self.of('V')}]", self._sometimes(xs, append)
        loop = Statement(clauses=((head, (Statement((first.replace("#", i),)), *body, append)),))
        return Statement(clauses=(("if True:", (Statement((start,)), loop, *[Statement((u,)) for u in uses])),))

    def _sometimes(self, xs: str, append: Statement) -> Statement:
        """An append that data decide about; the list keeps an element."""
        kind = self.chance.randint(0, 3)
        if kind == 0:
            j = f"j{next(self._fresh)}"
            append = Statement(clauses=((f"for {j} in range({self.of('I', 1)} % 3):", (append,)),))
        others = {
            1: (("else:", (append, Statement((f"{xs} += [({self.of('V')}) * 1]",)))),),
            2: ((f"elif len({xs}) > 1:", (Statement((f"z = {xs}.pop() * 1",)),)),),
            3: ((f"elif {self.condition()}:", (Statement((f"{xs}.insert(0, {xs}[-1] * 0.5)",)),)),),
        }
        return Statement(clauses=((f"if {self.condition()}:", (append,)), *others.get(kind, ())))

    def _define(self, depth: int) -> Statement:
        """A function inside of the function, with a branch, that may change variables around it."""
        name = f"inner{next(self._fresh)}"
        loops, self._loops = self._loops, []
        body = [Statement((self.chance.choice(["nonlocal s", "nonlocal v, k", "pass"]),))]
        body.append(Statement(clauses=((f"if {self.condition()}:", (Statement((f"return a * {self.of('F')}",)),)),)))
        body.append(Statement((f"return a + {self.of('V')}",)))
        self._loops = loops
        define = Statement(clauses=((f"def {name}(a):", tuple(body)),))
        use = self.chance.choice(["v", "z"])
        call = Statement((f"{use} = {name}({self.of('V')}).tanh()",))
        return Statement(clauses=(("if True:", (define, call)),))


FORMS: Final[dict[str, tuple[str, ...]]] = {
    "M": (
        "$M + $M", "$M * $F", "$M + $V", "$M.tanh()", "$M.clamp(-2, 2)", "ingot.where($M > $X, $M, $M)",
        "($M * $C.unsqueeze(1)).tanh()", "ingot.cat([$M[1:], $M[:1]])", "($M if $B else $M)", "$M - $S", "$M.flip(0)",
        "$M * (self.scale + 0.5)", "ingot.rand(x.shape[0], 3) + $M",
    ),
    "C": ("$M.sum(1)", "$M[:, 1]", "$C * $F", "$C.tanh()", "$C + $S", "ingot.cat([$C[-1:], $C[:-1]])", "$M.amax(dim=1)",
          "($C if $B else $C)"),
    "V": (
        "self.w", "self.seen * $X", "$M.sum(0).tanh()", "$M.amax(0)", "$M[0] * 1", "$M[-1] + $V",
        "($V * $F).clamp(-4, 4)",
        "($V + $V).tanh()", "$g.sum(0)", "$M[:$K].sum(0)", "$M[$K:].sum(0)", "ingot.cat([$V[1:], $V[:1]])",
        "ingot.rand(3)", "u.float()", "self.bump($V)", "($V if $B else $V)", "xs[-1] + 1", "ingot.stack(xs).sum(0)",
        "settle($V, $V)", "pick($M, $I)", "$V - $I", "$V + self.last", "$M[$K % x.shape[0]] * 1", "sum(xs).tanh()",
        "ingot.where($V > $S, $V, $X)",
    ),
    "S": ("$V.sum()", "$M.mean()", "$V[0] * 1", "$V[$I % 3] * 1", "$C.sum()", "($S * $F).tanh()", "$S + $I", "$V.max()",
          "ingot.rand(()) - $S", "($S if $B else $S)", "$S.abs().sqrt()", "(row * row).sum() if False else $S"),
    "I": (
        "$N", "x.shape[0]", "int(t)", "t.item()", "$I + $I", "$I - $N", "$I * $P", "$I % $P", "$I // $P", "min($I, $I)",
        "max($I, 0)", "abs($I)", "$V.argmax().item()", "len(xs)", "int(u.sum())", "($I if $B else $I)", "int($F)",
        "self.count", "len(x)", "u[$N % 3].item()", "-$I", "(u > $N).sum().item()", "int($B)", "g.shape[0] % 5",
        "int(self.steps)", "max($I, $I, 1)", "round($F)",
    ),
    "F": (
        "$X", "$S.item()", "float($S)", "$F * 0.5", "$F + $I", "abs($F)", "$I / 2", "min($F, $F)", "self.scale",
        "($F if $B else $F)", "$V[1].item()", "max($F, $X)", "-$F", "$F - $F", "float($I)", "$F / 3",
    ),
    "B": (
        "$S $O $F", "$I $O $I", "$I % 2 == 0", "$N < $I <= $P", "$F $O $F", "$V.sum() > $X", "($V > $X).any()",
        "($M < $X).all()", "x.shape[0] > $P", "not $B", "$B and $B", "$B or $B", "b", "t.item() % 2 == 0", "t > 1",
        "x.shape[0] % 2 == 0", "$I", "$S", "u[0] == $N", "bool(u[1] > $N)", "y[0].item() > $X", "$I in (0, 2)",
        "self.count > $P", "$X < $F < $P", "$S $O $S", "len(xs) $O $I",
    ),
    "K": ("$N", "t.item()", "k % 3", "j % 4", "x.shape[0] - 1", "u[0].item() % 3", "min($I % 4, x.shape[0] - 1)"),
    "g": ("g",),
}  # fmt: skip

# What lets two names share memory: refused where the run decides if they do, one is changed in place, the other used.
SHARING: Final = (
    "q = m", "z = v", "r = v[1]", "z = m[0]", "g = m[:$K]", "v = m[-1]", "row = m[0]; row += $V", "a = v; a += $S",
    "a = m[:, 0]; a *= $X", "a = q.T; a[0] += $X", "xs = [xs[1], xs[0]]", "xs[1] += $X", "z = xs[0]",
    "self.last = v.detach()", "v = self.seen", "a = self.seen; a += $X", "xs = [v, z]", "self.last += $X", "g = g[1:]",
)  # fmt: skip

SIMPLE: Final = (
    "m = ($M).clamp(-3, 3)", "q = ($M).tanh()", "c = ($C) * 1", "v = ($V).clamp(-5, 5)", "z = $V", "s = ($S).tanh()",
    "r = $S", "k = ($I) % 7", "j = ($I) % 5", "f = ($S).item()", "h = min(max($F, -3.0), 3.0)", "b = bool($B)",
    "f = min(abs($F), 4.0)", "k += 1", "k -= $P", "j *= 2; j %= 9", "v = v + $V", "v *= $F", "m += $V", "s += $S",
    "s = s * $F", "h += 0.5",
    # in place: whole tensors, and views of them
    "m[0] += $V", "m[:, 1] = $C", "m[-1] *= $X", "v[0] = $S", "v[1:] += $S", "q[1:] -= $V", "c[0] = $S", "c *= $X",
    "m[$K % x.shape[0]] = $V", "v[$I % 3] += $X", "m.clamp_(-1, 1)", "z = z.clone(); z[1] = $S", "xs[0] = ($V) + 1",
    "q.add_($M)",
    *SHARING, "v = v.clone()", "m = m * 1", "z = z * 1",
    "q = q + 0", "r = r * 1", "g = g * 1",
    # state
    "with ingot.no_grad(): self.seen += ($V).detach()", "self.seen[0] = ($S).detach()", "self.steps += 1",
    "with ingot.no_grad(): self.seen.copy_($V)", "with ingot.no_grad(): self.w.mul_($X)",
    "self.last = ($V).detach() * 1",
    "with ingot.no_grad(): self.w[1] += $X", "self.steps += $I", "self.steps.fill_($N)",
    # lists and tensors that grow
    "g = ingot.cat([g, $M])[-6:]", "g = ingot.cat([g, ($V).unsqueeze(0)])", "g = g[1:] * 1", "g = g[:$K] * 1",
    "g = $M[$K:]",
    "xs = [($V) * 1, ($V) * 1]", "xs[-1] = ($V) * 1", "g = g * $F", "xs.append(($V) * 1)",
    "if $B: xs.append(($V) * 1)", "if $B: xs = xs + [$V]", "if len(xs) > 2: z = xs.pop()", "xs = xs[-2:]",
    # what refuses or raises
    "assert $B or k < 5, 'too large'", "v = m[$I % 4] * 1",
)  # fmt: skip

# Sizes that differ between the sides of a branch are refused.
RESIZING: Final = ("g = ingot", "g = g[", "g = $M", "g = m")

LOOPS: Final = (
    "for # in range($P):",
    "for # in range(x.shape[0]):",
    "for # in range(int(t)):",
    "for # in range($I % 4):",
    "for row# in x:",
    "for row# in m * 1:",
    "for row# in g * 2:",
    "for #, row# in enumerate(x):",
    "for # in range($N, $K):",
    "for # in range($P, -1, -1):",
    "for # in reversed(range(t.item())):",
    "for row# in [v * 1, z * 1]:",
    "for row# in reversed(m * 1):",
    "for #, row# in zip(range(3), q + 0):",
)
SHARING_LOOPS: Final = (
    "for row# in m:", "for row# in g:", "for row# in xs:", "for row# in reversed(m):", "for #, row# in enumerate(q):",
)  # fmt: skip

NUMBER_USES: Final = (
    "k = (k + #) % 7", "s = s + #", "v = v + m[# % x.shape[0]]", "f = f * 0.5 + #", "c[# % x.shape[0]] += $X", "pass",
    "j = max(j, #)", "m[# % x.shape[0]] += $V", "v[# % 3] = $S",
)  # fmt: skip

ROW_USES: Final = (
    "v = (v + row#).tanh()", "s = s + row#.sum()", "z = row# * 1", "row# = row# + $X", "s = row#[0] * 1",
    "z = ingot.where(row# > z, row#, z)",
    "b = bool(row#.sum() > $X)",
)  # fmt: skip

LIST_USES: Final = (
    "v = ingot.stack(@).sum(0).tanh()", "g = ingot.stack(@)", "s = ingot.cat(@).sum()", "z = @[-1] * 1", "k = len(@)",
    "for row in @: s = s + row.sum()", "v = sum(@).tanh()", "z = ingot.stack(@[::-1])[0]", "v = v + @[0]",
)  # fmt: skip
