"""Every built-in op, declared once. Importing this package fills the registry.

Each module is one family of subjects; `prims` holds what the graph itself needs (constants, control flow, keys,
sizes). To add an op, write its declaration in the module it belongs to: nothing else needs to know.
"""

from . import (
    activation,
    arithmetic,
    comparison,
    contraction,
    convolution,
    creation,
    indexing,
    loss,
    movement,
    normalization,
    ordering,
    pointwise,
    pooling,
    prims,
    random,
    reduction,
    views,
)

__all__ = [
    "activation",
    "arithmetic",
    "comparison",
    "contraction",
    "convolution",
    "creation",
    "indexing",
    "loss",
    "movement",
    "normalization",
    "ordering",
    "pointwise",
    "pooling",
    "prims",
    "random",
    "reduction",
    "views",
]
