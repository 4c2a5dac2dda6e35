"""Folding batch normalisation at inference into the convolution or linear map in front of it."""

from __future__ import annotations

from ..ir.graph import Graph
from .registered import NoOptions, register_pass
from .rewrite import Rewriter, RuleSet
from .rules import batch_norm

__all__ = ["fold_batch_norm"]

_RULES = RuleSet(batch_norm.RULES)


@register_pass()
def fold_batch_norm(graph: Graph, options: NoOptions) -> bool:
    """Fold `batch_norm_inference` into the `conv2d` or `linear` whose only user it is.

    The new weights are nodes that depend on the state alone. Results change by rounding.
    """
    return Rewriter(graph, _RULES).run()
