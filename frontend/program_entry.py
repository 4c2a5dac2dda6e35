"""One entry point of a program, as the user holds it: `program.entry("encode")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ir.graph import Graph
from ..ir.ledger import Ledger
from ..ir.program import Signature

if TYPE_CHECKING:
    from .program import Program

__all__ = ["ProgramEntry"]


class ProgramEntry:
    """An entry point. It is called like the function that it was captured from, on the program's state.

    Attributes:
        program: whose it is.
        name: its name.

    >>> import ingot
    >>> layer = ingot.nn.Linear(2, 3)
    >>> program = ingot.jit.trace(layer, {"forward": ingot.ones(1, 2), "extra_repr": ()})
    >>> program.entry("extra_repr")()
    'in_features=2, out_features=3, bias=True'
    """

    __slots__ = ("name", "program")

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.program.run(self.name, *args, **kwargs)

    @property
    def graph(self) -> Graph:
        """The graph as captured."""
        return self.program.record.graphs[self.name]

    @property
    def signature(self) -> Signature:
        """How it is called."""
        return self.program.record.signatures[self.name]

    @property
    def optimized(self) -> Graph:
        """The graph after the passes."""
        return self.program._stages(self.name).main

    @property
    def ledger(self) -> Ledger:
        """What the capture of this entry point took from Python and froze."""
        several = len(self.program.record.graphs) > 1
        return Ledger(e for e in self.program.ledger if not several or e.entry in ("", self.name))

    def code(self, backend: str | None = None) -> str:
        """The source text that a backend emits for the optimised graph."""
        return self.program.code(backend, self.name)

    def __repr__(self) -> str:
        return f"<entry point {self.name}({', '.join(self.signature.parameters)}) of {self.program!r}>"
