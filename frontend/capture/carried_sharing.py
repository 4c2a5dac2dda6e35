"""Which tensors that a loop carries perhaps share memory: with one another, and with tensors from outside of the loop.

At the beginning of an iteration a carried tensor is what was there before the loop, or what the iteration before has
handed on: a tensor from outside, a view on one, what came in under another name. What is found when the body has been
captured holds in the body as well, so the body is captured again where it changes one of these in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...ir.locations import Location
from ..tensor_base import TensorBase
from .regions import Region, Regions
from .sharing import Loss, base_of

__all__ = ["CarriedSharing"]


class CarriedSharing:
    """What the leaves of one loop share.

    A leaf is an object with `start`, its tensor before the loop or None, and `param`, the tensor that stands for it in
    the body or None.

    Attributes:
        lost: tensors from outside whose contents an iteration makes unknown, by `id`, each with the reason.
    """

    def __init__(self, regions: Regions, location: Location | None) -> None:
        self._regions = regions
        self._location = location
        self._leaves: dict[int, Any] = {}
        self._partners: dict[int, dict[int, Any]] = {}  # of each leaf: other leaves and tensors from outside
        self._roots: dict[int, list[Any]] = {}  # of each leaf: whose memory the body hands on, perhaps
        self._holding: dict[int, list[Any]] = {}  # by the `id` of such a root: the leaves
        self._params: dict[int, Any] = {}
        self.lost: dict[int, tuple[Any, Loss]] = {}

    # ----------------------------------------------------------------------------------------------- in the body

    def enter(self, leaves: Sequence[Any]) -> None:
        """The body begins: its parameters share what is known."""
        self._start(leaves)
        entering = {id(leaf) for leaf in leaves}
        for leaf in leaves:
            for partner in self._partners[id(leaf)].values():
                if id(partner) in entering:
                    self._regions.sharing.pair(leaf.param, partner.param, self._location)
                elif id(partner) not in self._leaves:
                    self._regions.sharing.pair(leaf.param, partner, self._location)

    def lose(self) -> None:
        """Let what iterations lose be lost."""
        for tensor, loss in self.lost.values():
            self._regions.lose(tensor, loss)

    def _start(self, leaves: Sequence[Any]) -> None:
        """What the leaves share in the first iteration."""
        starts: dict[int, list[Any]] = {}
        for leaf in leaves:
            self._leaves[id(leaf)] = leaf
            self._partners.setdefault(id(leaf), {})
            if isinstance(leaf.start, TensorBase):
                starts.setdefault(id(base_of(leaf.start)), []).append(leaf)
        for leaf in leaves:
            if isinstance(leaf.start, TensorBase):
                for owner in filter(self._regions.visible, self._regions.sharing.sources(leaf.start)):
                    for partner in (owner, *starts.get(id(owner), ())):
                        self._add(leaf, partner)

    # ------------------------------------------------------------------------------------------- behind the body

    def learn_losses(self, region: Region) -> bool:
        """Note what the body has made unknown; gives whether that was known."""
        new = {key: lost for key, lost in region.lost.items() if key not in self.lost}
        self.lost |= new
        return not new

    def learn(self, given: Sequence[tuple[Any, Any]], region: Region) -> bool:
        """Note what the body hands on; gives whether it was captured with all that matters in it.

        Args:
            given: each leaf with what is handed on for it, or None.
        """
        self._start([leaf for leaf, _ in given])
        self._params = {id(leaf.param): leaf for leaf, _ in given if leaf.param is not None}
        owners = self._regions.sharing.sources
        self._roots = {id(leaf): owners(x) if isinstance(x, TensorBase) else [] for leaf, x in given}
        self._holding = {}
        for leaf, _ in given:
            for root in self._roots[id(leaf)]:
                self._holding.setdefault(id(root), []).append(leaf)
        settled, growing = True, True
        while growing:
            growing = False
            for leaf, _ in given:
                for partner in list(self._following(self._roots[id(leaf)])):
                    if self._add(leaf, partner):
                        growing = True
                        settled = settled and not self._written(region, (leaf, partner))
        return settled

    def _following(self, roots: Sequence[Any]) -> Iterator[Any]:
        """What shares the memory of one of these, in the next iteration, that this one hands on."""
        for root in roots:
            leaf = self._params.get(id(root))
            if leaf is None and self._regions.visible(root):
                yield root
            for partner in self._partners[id(leaf)].values() if leaf is not None else ():
                if id(partner) in self._leaves:
                    yield from self._holding.get(id(partner.param), ())
                else:
                    yield partner
        if roots:
            yield from self._holding.get(id(roots[0]), ())

    def _add(self, leaf: Any, partner: Any) -> bool:
        if partner is leaf or id(partner) in self._partners[id(leaf)]:
            return False
        self._partners[id(leaf)][id(partner)] = partner
        if id(partner) in self._leaves:
            self._partners[id(partner)][id(leaf)] = leaf
        return True

    def _written(self, region: Region, places: Sequence[Any]) -> list[Location | None]:
        """The lines by which the body changes leaves or tensors from outside."""
        owners = [x.param if id(x) in self._leaves else x for x in places]
        return [region.written[id(owner)][1] for owner in owners if id(owner) in region.written]

    # ------------------------------------------------------------------------------------------- behind the loop

    def hand_on(self, made: Mapping[int, Any]) -> None:
        """Note what the loop's outputs share.

        Args:
            made: the outputs, by the leaf's `id`.
        """
        for key, output in made.items():
            for partner in self._partners.get(key, {}).values() if isinstance(output, TensorBase) else ():
                other = made.get(id(partner)) if id(partner) in self._leaves else partner
                if isinstance(other, TensorBase):
                    self._regions.sharing.pair(output, other, self._location)

    def loss_of_rows(self, item: Any, region: Region) -> Loss | None:
        """Why the rows of a stack have unknown contents: a later iteration changes what they perhaps share; else None.

        Args:
            item: what each iteration puts into the stack.
        """
        found = {id(x): x for x in self._following(self._regions.sharing.sources(item))}
        waiting = [x for x in found.values() if id(x) in self._leaves]
        while waiting:
            for leaf in self._holding.get(id(waiting.pop().param), ()):
                if id(leaf) not in found:
                    found[id(leaf)] = leaf
                    waiting.append(leaf)
        lines = self._written(region, list(found.values()))
        return Loss(lines[0], self._location) if lines else None
