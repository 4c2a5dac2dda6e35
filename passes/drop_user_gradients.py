"""The pass that takes users' gradients out of a graph: for graphs that are run, and not differentiated any more."""

from __future__ import annotations

from ..ir.graph import Graph
from .changes import permit
from .registered import NoOptions, register_pass
from .structure import USER_GRADIENT

__all__ = ["drop_user_gradients"]


@register_pass()
def drop_user_gradients(graph: Graph, options: NoOptions) -> bool:
    """Let users of a node that is there for the user's gradient alone use what it hands on, and erase it.

    What its gradient has read stays, for `dce`. Without these nodes a graph has the gradients of the operations that it
    consists of, and not those that the user has written: so it stands in pipelines that make what is to be run.
    """
    changed = False
    for node in [node for node in graph.nodes() if node.op is USER_GRADIENT]:
        if node.block is not None and permit("drop_user_gradients", node):  # it may stand in another one's block
            node.replace_with(node.inputs[: len(node.outputs)])
            changed = True
    return changed
