"""Every built-in op, declared once. Importing this package fills the registry.

Each module is one family of subjects; `prims` holds what the graph itself needs (constants, control flow, keys,
sizes). To add an op, write its declaration in the module it belongs to: nothing else needs to know.
"""

from . import (
    activation,
    arithmetic,
    comparison,
    contraction,
    creation,
    indexing,
    loss,
    movement,
    normalization,
    pointwise,
    pooling,
    prims,
    random,
    reduction,
)

__all__ = [
    "activation",
    "arithmetic",
    "comparison",
    "contraction",
    "creation",
    "indexing",
    "loss",
    "movement",
    "normalization",
    "pointwise",
    "pooling",
    "prims",
    "random",
    "reduction",
]
