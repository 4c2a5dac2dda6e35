"""Training and evaluation of a program that was captured in both: which of them a call is in that does not say so."""

from __future__ import annotations

from dataclasses import replace

from ..ir.errors import ArgumentError
from ..ir.locations import here
from ..ir.program import ProgramRecord, Signature

__all__ = ["has_modes", "is_training", "set_training"]

_PARAMETER = "training"


def has_modes(record: ProgramRecord) -> bool:
    """Whether calls may choose between training and evaluation."""
    return any(map(_is_mode, record.signatures.values()))


def is_training(record: ProgramRecord) -> bool:
    """The mode of calls that do not say theirs.

    Raises:
        ArgumentError: for a program that was captured in one mode.
    """
    _, signature = _with_modes(record)[0]
    return bool(signature.defaults[_PARAMETER]["value"])


def set_training(record: ProgramRecord, training: bool) -> None:
    """Choose the mode of calls that do not say theirs.

    Raises:
        ArgumentError: for a program that was captured in one mode.
    """
    default = {"kind": "constant", "value": bool(training)}
    for name, signature in _with_modes(record):
        record.signatures[name] = replace(signature, defaults={**signature.defaults, _PARAMETER: default})


def _with_modes(record: ProgramRecord) -> list[tuple[str, Signature]]:
    found = [(name, s) for name, s in record.signatures.items() if _is_mode(s)]
    if not found:
        raise ArgumentError(
            "the program was captured in one mode, training or evaluation, and stays in it",
            location=here(),
            advice='capture both: ingot.jit.trace(model, example_inputs, modes=("train", "eval"))',
        )
    return found


def _is_mode(signature: Signature) -> bool:
    """Whether the last parameter is the one that `trace(modes=...)` adds."""
    last = signature.parameters[-1:] == (_PARAMETER,) and signature.kinds[-1:] == ("=",)
    return (
        last
        and signature.arguments[-1] == {"kind": "number", "type": "bool"}
        and signature.defaults.get(_PARAMETER, {}).get("kind") == "constant"
    )
