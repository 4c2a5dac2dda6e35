"""What one loop carries from iteration to iteration, as far as the captures of its body have shown.

What lives here: the records that the parts of a loop's capture share. `LoopState` is what is known of the loop,
`Carried` and `Leaf` are a cell that it carries and its parts, `Attempt` is one capture of the body. What finds it out
lives elsewhere: see `loops`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...ir.block import Block
from ...ir.errors import CaptureError
from ...ir.locations import Location
from ...ir.node import Value
from ...ir.sizes import Size, SizeExpr, free_vars
from ...ir.types import Type
from .carried_sharing import CarriedSharing
from .carried_sizes import CarriedSizes
from .gradient_cells import Pair
from .grown_list import SymList
from .kept_inside import Kept
from .list_growth import Growing
from .list_identity import LostLists
from .reach import Change
from .regions import Region, Regions
from .run import list_refused
from .sharing import Loss
from .structured import Cell, Leaves, Static, Unbound, leaf_type

__all__ = ["Attempt", "Carried", "Leaf", "LoopState"]


@dataclass(slots=True)
class Leaf:
    """One leaf of a cell that is carried.

    Attributes:
        kind: what it is: `"tensor"`, `"int"`, `"float"`, `"bool"`.
        start: its value before the loop; None where it has none yet.
        type: the parameter's type.
        derived: the size variable that an integer always equals, which then needs no parameter.
        low: the smallest value of an integer.
        param: the tensor that stands for it in the body.
        recorded: whether it carries a gradient, in some iteration.
        value: the block's parameter.
        loss: why its contents are unknown at the beginning of an iteration; None where they are not.
    """

    kind: str
    start: Any
    type: Type
    derived: SizeExpr | None = None
    low: int | None = None
    param: Any = None
    value: Value | None = None
    recorded: bool = False
    loss: Loss | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the body changes in place what it gets."""
        return self.param is not None and self.param._trace[1] is not self.value


@dataclass(slots=True)
class Carried:
    """A cell that is carried: its structure at the beginning of an iteration, and its leaves.

    Attributes:
        late: it has no value before the loop; the body assigns it before it reads it.
        entering: what the cell holds at the beginning of an iteration.
    """

    cell: Cell
    shape: Leaves
    leaves: list[Leaf]
    late: bool = False
    entering: Any = None

    def is_run(self, leaf: Leaf) -> bool:
        """Whether a leaf is the elements of a list, of which the run decides how many there are."""
        return any(self.leaves[i] is leaf for i in self.shape.runs)

    @property
    def is_contents(self) -> bool:
        """Whether it is the elements of a tensor that is changed in place."""
        return bool(self.cell.identity[0] == "tensor")

    @property
    def drops(self) -> bool:
        """Whether no iteration hands it on: it holds an object that a graph cannot hold."""
        return self.late and isinstance(self.shape.shape, Static) and isinstance(self.shape.shape.value, Unbound)


@dataclass(slots=True)
class Attempt:
    """One capture of the body.

    Attributes:
        lists: what it appends to lists.
        lost: the lists that it leaves changed or not, as the run decides.
        left: for each cell that has got another object, that object.
        condition: whether another iteration follows.
        after: the cells, each with what it holds at the end of the body.
        changes: what it changes of Python objects.
        result: what the body returns.
        handed_on: what is carried, as it is at the end of the body.
        kept: what its way back needs.
    """

    block: Block
    lists: Growing
    region: Region
    lost: LostLists
    left: dict[Any, Any] = field(default_factory=dict)
    condition: Value | None = None
    after: dict[Any, tuple[Cell, Any]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    result: Any = None
    handed_on: list[Any] = field(default_factory=list)
    kept: Kept | None = None


class LoopState:
    """What is known of one loop: what the program says, and what the attempts so far have shown.

    Attributes:
        first: what the condition has answered before the first iteration.
        count: the number of iterations at most; None for no limit.
        tested: whether there is a condition.
        carried: the cells that are carried, by identity.
        lists: the lists whose elements are carried, by `id`.
        lost: what the body changes of lists that it may not name.
        left: what the last attempt has left in the cells.
        found: what the iteration finds on the tape, each with its leaf.
        asked: of that, whose gradients are asked for together.
        pairs: gradients that are there in some iterations, by the tensors' `id`.
        sizes, sharing: the sizes that change, and what shares memory.
        outside: the size variables that are known before the loop.
    """

    def __init__(self, tracer: Any, first: Any, count: Any, tested: bool, location: Location | None) -> None:
        self.tracer = tracer
        self.first = first
        self.count = count
        self.tested = tested
        self.location = location
        self.carried: dict[Any, Carried] = {}
        self.lists: dict[int, SymList] = {}
        self.lost: LostLists | None = None
        self.left: dict[Any, Any] = {}
        self.found: list[tuple[Any, Leaf]] = []
        self.asked: list[tuple[Any, Any, Location | None]] = []
        self.pairs: dict[int, Pair] = {}
        self.sizes = CarriedSizes(tracer)
        self.sharing = CarriedSharing(self.regions, location)
        self.outside: set[str] = set()

    @property
    def regions(self) -> Regions:
        found: Regions = self.tracer.regions
        return found

    def tensors(self) -> list[tuple[Carried, Leaf]]:
        """The tensors that are carried under a name, or in an object."""
        found = [(c, leaf) for c in self.carried.values() for leaf in c.leaves if leaf.kind == "tensor"]
        return [(carried, leaf) for carried, leaf in found if not carried.is_contents]

    def yielded(self) -> list[Leaf]:
        """The leaves that each iteration hands on."""
        return [leaf for c in self.carried.values() if not c.drops for leaf in c.leaves if leaf.derived is None]

    def type_of(self, value: Any) -> Type:
        """The type of what is carried, be its contents known or not."""
        with self.regions.sharing.handing_on():
            return leaf_type(self.tracer, value)

    def is_inner(self, size: Size) -> bool:
        """Whether only the inside of the loop knows a size."""
        return isinstance(size, SizeExpr) and not free_vars(size) <= self.outside

    def refused_sizes(self, type_: Type) -> CaptureError:
        """The error for a list that gets elements of changing sizes."""
        return list_refused(
            "a list that grows in a loop gets elements of changing sizes",
            "elements of one size, which is known before the loop",
            "pad the elements to one size, or join them with ingot.cat along the changing dimension",
            self.location,
            [str(type_)],
        )

    def ends(self, attempt: Attempt) -> list[tuple[Leaf, Any]]:
        """The leaves that each iteration hands on, with what they are at the end of the body."""
        return list(zip(self.yielded(), attempt.handed_on, strict=True))
