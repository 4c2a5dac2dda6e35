"""What type rules refuse, and how they say it: in the op's own parameter names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DTypeError, ShapeError
from ..sizes import Size, equal

__all__ = ["require", "require_equal", "require_float", "require_integers", "require_same_dtype", "show_sizes"]


def require(op: str, condition: bool, what: str, expected: str = "", found: str = "", **operands: Any) -> None:
    """Refuse operands unless a condition holds; the types of `operands` are shown by their names.

    Raises:
        ShapeError: when it does not hold.
    """
    if not condition:
        notes = tuple(f"{name}: {x.type}" for name, x in operands.items() if x is not None)
        raise ShapeError(f"{op}: {what}", expected=expected, found=found, notes=notes)


def require_equal(op: str, what: str, left: str, a: Size, right: str, b: Size, **operands: Any) -> None:
    """Refuse operands unless two sizes agree; `left` and `right` name them in the op's parameters.

    Raises:
        ShapeError: with both names, both sizes and the operands' types.
    """
    require(op, equal(a, b) is True, what, f"{left} == {right}", f"{a} != {b}", **operands)


def require_same_dtype(op: str, **operands: Any) -> None:
    """Refuse operands that differ in dtype; those that are None are absent.

    Raises:
        DTypeError: with every name and dtype.
    """
    dtypes = {name: x.dtype for name, x in operands.items() if x is not None}
    if len(set(dtypes.values())) > 1:
        found = "   ".join(f"{name}: {dtype.name}" for name, dtype in dtypes.items())
        raise DTypeError(f"{op}: operands differ in dtype", expected="one dtype", found=found)


def require_float(op: str, **operands: Any) -> None:
    """Refuse operands that are not of a floating-point dtype.

    Raises:
        DTypeError: with the parameter's name.
    """
    for name, x in operands.items():
        if x is not None and x.dtype.kind != "float":
            raise DTypeError(f"{op}: {name} is {x.dtype.name}", expected="a floating-point dtype")


def require_integers(op: str, **operands: Any) -> None:
    """Refuse operands that are not of an integer dtype, as indices are.

    Raises:
        DTypeError: with the parameter's name.
    """
    for name, x in operands.items():
        if x.dtype.kind != "int":
            raise DTypeError(f"{op}: {name} is {x.dtype.name}", expected="an integer dtype")


def show_sizes(sizes: Sequence[Size]) -> str:
    """Sizes as they stand in a type: `[B, 3]`."""
    return f"[{', '.join(map(str, sizes))}]"
