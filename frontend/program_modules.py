"""`program.modules`: the tree of modules that a program was captured from, as far as its graphs tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from ..ir.errors import ArgumentError
from ..ir.program import ProgramRecord

__all__ = ["ModuleInfo", "module_tree"]


@dataclass(slots=True)
class ModuleInfo:
    """One module of a captured program.

    Attributes:
        path: `"encoder.layers.0"`; empty for the whole program.
        type: the class's name, where it is known.
        nodes: how many nodes of the graphs it computed itself, its children left out.
        parameters: the names of its own trainable state; `buffers`: those of its other state.
        children: by the last part of their path, in the order of their first use.
    """

    path: str
    type: str = ""
    nodes: int = 0
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    buffers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    children: dict[str, ModuleInfo] = field(default_factory=dict)

    @property
    def total_nodes(self) -> int:
        """How many nodes it and its children computed."""
        return sum(info.nodes for info in self)

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained in it and its children."""
        return sum(prod(shape) for info in self for shape in info.parameters.values())

    def __iter__(self) -> Iterator[ModuleInfo]:
        """This module and all below it, each before its children."""
        yield self
        for child in self.children.values():
            yield from child

    def __getitem__(self, path: str) -> ModuleInfo:
        """The module at a path below this one.

        Raises:
            ArgumentError: when there is none.
        """
        found = self
        for part in path.split("."):
            if part not in found.children:
                raise ArgumentError(
                    f"no module {path!r} in {found.path or 'the program'}", found=", ".join(found.children) or "none"
                )
            found = found.children[part]
        return found

    def child(self, path: str) -> ModuleInfo:
        """The module at a path below this one, made where there is none."""
        found = self
        for part in path.split(".") if path else ():
            below = f"{found.path}.{part}" if found.path else part
            found = found.children.setdefault(part, ModuleInfo(below))
        return found

    def __str__(self) -> str:
        rows = list(_rows(self, "", ""))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
        return "\n".join(lines)

    __repr__ = __str__


def _rows(info: ModuleInfo, lead: str, below: str) -> Iterator[tuple[str, str, str]]:
    name = info.path.rpartition(".")[2] or "program"
    text = f"{name}: {info.type}" if info.type else name
    count = info.parameter_count
    yield lead + text, f"{info.total_nodes:,} nodes", f"{count:,} parameters" if count else ""
    children = list(info.children.values())
    for child in children:
        last = child is children[-1]
        yield from _rows(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def module_tree(record: ProgramRecord) -> ModuleInfo:
    """The modules of a program.

    >>> import ingot
    >>> net = ingot.nn.Sequential(ingot.nn.Linear(2, 3), ingot.nn.ReLU())
    >>> program = ingot.jit.trace(net, ingot.ones(1, 2))
    >>> print(program.modules)
    program: Sequential  2 nodes  9 parameters
    ├─ 0: Linear          1 nodes  9 parameters
    └─ 1: ReLU            1 nodes
    """
    root = ModuleInfo("")
    for graph in record.graphs.values():
        for node in graph.nodes():
            root.child(node.path).nodes += 1
    paths = {info.path: info for info in root}
    for name, array in record.state.items():
        owner, _, own = name.rpartition(".")
        # A name whose beginning is no module is a path of the module's own containers.
        while owner and owner not in paths and owner not in record.modules:
            owner, _, first = owner.rpartition(".")
            own = f"{first}.{own}"
        table = root.child(owner)
        (table.parameters if name in record.trainable else table.buffers)[own] = tuple(array.shape)
    known = {info.path for info in root}
    for path, type_ in record.modules.items():
        if path in known:
            root.child(path).type = type_
    return root
