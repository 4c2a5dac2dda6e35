"""Rewrite rules, as data, by subject. Every rule is exact: both sides give the same bits for all operands, which NaN
comes out apart. `INFERENCE_RULES` forget what only gradients need, and `batch_norm` holds those that round
differently."""

from ..rewrite import Rule
from . import arithmetic, batch_norm, casts, logic, movement

__all__ = ["ALL_RULES", "EXACT_RULES", "INFERENCE_RULES"]

EXACT_RULES: tuple[Rule, ...] = (*arithmetic.RULES, *casts.RULES, *logic.RULES, *movement.RULES)
INFERENCE_RULES: tuple[Rule, ...] = (*casts.INFERENCE_RULES,)
ALL_RULES: tuple[Rule, ...] = (*EXACT_RULES, *INFERENCE_RULES, *batch_norm.RULES)
