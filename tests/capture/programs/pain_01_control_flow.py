"""A trace is silently wrong on control flow: it keeps the path that the example took."""

from __future__ import annotations

import ingot
from corpus import CaptureError, captured, checked, ones, randn, refused, refused_at_call
from ingot import nn


@refused(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line="if x.sum() > 0:",
)
def branch_on_the_sum(x):
    if x.sum() > 0:
        return x * 2
    return x - 1


@captured(
    "pytorch/pytorch#21774",
    example=lambda: (ones(3),),
    fresh=lambda rng: (randn(rng, 3),),
    script_branches=True,
)
def scripted_branch_on_the_sum(x):
    if x.sum() > 0:
        return x * 2
    return x - 1
