"""Products of matrices: matmul, bmm, outer, linear. Convolution is in `convolution`."""

from __future__ import annotations

from typing import Any

from ..families import composite, nest
from ..sizes import Size, equal, product
from .checks import require, require_equal, require_same_dtype

__all__ = ["rows_of", "transposed"]


def transposed(F: Any, x: Any) -> Any:
    """The last two dimensions swapped."""
    last = x.ndim - 1
    return F.permute(x, dims=(*range(last - 1), last, last - 1))


def rows_of(F: Any, x: Any) -> Any:
    """All dimensions but the last as one."""
    sizes = tuple(x.shape)
    return x if len(sizes) == 2 else F.reshape(x, shape=(product(sizes[:-1]), sizes[-1]))


# ---------------------------------------------------------------------------------------------------------- matmul


def _product(np: Any, a: Any, b: Any, out: Any) -> Any:
    """`a @ b`; halves are multiplied in float32, and a stack of rows by one matrix in one product."""
    if a.dtype != b.dtype:
        raise TypeError("matmul: operands differ in dtype")
    if a.dtype.itemsize == 2 and a.dtype.kind not in "iu":
        wide = np.matmul(a.astype(np.float32), b.astype(np.float32))
        if out is None:
            return np.asarray(wide).astype(a.dtype)
        out[...] = wide
        return out
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous and a.size and b.size:
        flat = None if out is None else out.reshape(-1, b.shape[1])
        return np.matmul(a.reshape(-1, a.shape[-1]), b, out=flat).reshape(*a.shape[:-1], b.shape[1])
    return np.asarray(np.matmul(a, b, out=out))


def matmul_fast(np: Any, a: Any, b: Any, *, out: Any = None, scratch: Any = None) -> Any:
    return _product(np, a, b, out)


def _matmul_input_grad(F: Any, g: Any, T: Any, other: Any) -> Any:
    rank, rank_other = len(T.input.sizes), len(T.other.sizes)
    if rank_other == 1:
        return g * other if rank == 1 else F.unsqueeze(g, dim=-1) * other
    if rank == 1:
        return F.select(F.matmul(other, F.unsqueeze(g, dim=-1)), dim=-1, index=0)
    return F.matmul(g, transposed(F, other))


def _matmul_other_grad(F: Any, g: Any, T: Any, input: Any) -> Any:
    rank, rank_other = len(T.input.sizes), len(T.other.sizes)
    if rank == 1:
        return g * input if rank_other == 1 else F.unsqueeze(input, dim=-1) * F.unsqueeze(g, dim=-2)
    if rank_other == 1:
        return F.matmul(transposed(F, rows_of(F, input)), F.reshape(g, shape=(product(T.input.sizes[:-1]),)))
    if rank_other == 2 and rank > 2:
        return F.matmul(transposed(F, rows_of(F, input)), rows_of(F, g))
    return F.matmul(transposed(F, input), g)


@nest(
    "matmul(input: Tensor, other: Tensor) -> Tensor",
    fast=matmul_fast,
    grad={"input": _matmul_input_grad, "other": _matmul_other_grad},
    onnx="MatMul",
)
def matmul(n: Any, input: Any, other: Any) -> Any:
    """The matrix product. Dimensions before the last two broadcast; a vector counts as a row on the left and as a
    column on the right, and its dimension is left out of the result."""
    require_same_dtype(n.op, input=input, other=other)
    n.require(input.ndim > 0 and other.ndim > 0, "an operand has no dimensions", "", f"{input.type} and {other.type}")
    k_other = other.sizes[-2] if other.ndim > 1 else other.sizes[-1]
    n.require_equal(
        "inner sizes differ",
        "input.size(-1)",
        input.sizes[-1],
        f"other.size({'-2' if other.ndim > 1 else '-1'})",
        k_other,
    )
    batch_a, batch_b = input.sizes[:-2], other.sizes[:-2]
    batch = n.letters(_broadcast(n, batch_a, batch_b))
    k = n.letter(input.sizes[-1])
    rows = [n.letter(input.sizes[-2])] if input.ndim > 1 else []
    columns = [n.letter(other.sizes[-1])] if other.ndim > 1 else []
    a = input[[*_aligned(batch, batch_a), *rows, k]]
    b = other[[*_aligned(batch, batch_b), k, *columns]]
    return n.out([*batch, *rows, *columns], n.sum([k], a * b))


def _broadcast(n: Any, a: tuple[Size, ...], b: tuple[Size, ...]) -> list[Size]:
    if len(a) < len(b):
        a, b = b, a
    shift = len(a) - len(b)
    found = list(a)
    for i, size in enumerate(b):
        if a[shift + i] == 1:
            found[shift + i] = size
        elif size != 1:
            n.require(
                equal(a[shift + i], size) is True,
                "batch sizes do not broadcast",
                "equal sizes, or 1, before the last two dimensions",
                f"{a[shift + i]} != {size}",
            )
    return found


def _aligned(letters: list[Any], sizes: tuple[Size, ...]) -> list[Any]:
    own = letters[len(letters) - len(sizes) :]
    return [0 if size == 1 else letter for letter, size in zip(own, sizes, strict=True)]


def bmm_fast(np: Any, a: Any, b: Any, *, out: Any = None, scratch: Any = None) -> Any:
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0]:
        raise ValueError("bmm: operands are not batches of matrices")
    return _product(np, a, b, out)


@nest(
    "bmm(input: Tensor, mat2: Tensor) -> Tensor",
    fast=bmm_fast,
    grad={
        "input": lambda F, g, mat2: F.bmm(g, transposed(F, mat2)),
        "mat2": lambda F, g, input: F.bmm(transposed(F, input), g),
    },
    onnx="MatMul",
)
def bmm(n: Any, input: Any, mat2: Any) -> Any:
    """The product of two batches of matrices of equal length."""
    require_same_dtype(n.op, input=input, mat2=mat2)
    for name, x in (("input", input), ("mat2", mat2)):
        n.require(x.ndim == 3, f"{name} is not a batch of matrices", "3 dimensions", str(x.type))
    n.require_equal("batch sizes differ", "input.size(0)", input.sizes[0], "mat2.size(0)", mat2.sizes[0])
    n.require_equal("inner sizes differ", "input.size(2)", input.sizes[2], "mat2.size(1)", mat2.sizes[1])
    b, i, k = n.letters(input.sizes)
    j = n.letter(mat2.sizes[2])
    return n.out([b, i, j], n.sum([k], input[b, i, k] * mat2[b, k, j]))


@composite("outer(input: Tensor, vec2: Tensor) -> Tensor")
def outer(F: Any, input: Any, vec2: Any) -> Any:
    """Every element of the first vector times every one of the second."""
    return F.unsqueeze(input, dim=1) * F.unsqueeze(vec2, dim=0)


# ---------------------------------------------------------------------------------------------------------- linear


def linear_fast(np: Any, x: Any, w: Any, b: Any = None, *, out: Any = None, scratch: Any = None) -> Any:
    if w.ndim != 2:
        raise ValueError("linear: weight is not a matrix")
    found = _product(np, x, w.T, out)
    if b is None:
        return found
    if b.shape != w.shape[:1] or b.dtype != x.dtype:
        raise ValueError("linear: bias does not fit")
    return np.add(found, b, out=found)


def _linear_onnx(E: Any, input: Any, weight: Any, bias: Any) -> Any:
    if input.ndim == 2:
        return E.Gemm(input, weight, bias, transB=1) if bias is not None else E.Gemm(input, weight, transB=1)
    found = E.MatMul(input, E.Transpose(weight, perm=[1, 0]))
    return found if bias is None else E.Add(found, bias)


@composite(
    "linear(input: Tensor, weight: Tensor, bias: Tensor? = None) -> Tensor",
    fast=linear_fast,
    grad={
        "input": lambda F, g, weight: F.matmul(g, weight),
        "weight": lambda F, g, input: F.matmul(transposed(F, rows_of(F, g)), rows_of(F, input)),
        "bias": lambda F, g: F.sum(g, dim=tuple(range(g.ndim - 1))) if g.ndim > 1 else g,
    },
    onnx=_linear_onnx,
)
def linear(F: Any, input: Any, weight: Any, bias: Any) -> Any:
    """input @ weight.T + bias, for a weight of sizes (out features, in features) and a bias of (out features)."""
    check_linear(input, weight, bias)
    found = F.matmul(input, F.permute(weight, dims=(1, 0)))
    return found if bias is None else found + bias


def check_linear(input: Any, weight: Any, bias: Any) -> None:
    """Refuse operands of `linear` that do not fit each other.

    Raises:
        ShapeError, DTypeError: in the op's parameter names.
    """
    both = {"input": input, "weight": weight}
    require("linear", weight.ndim == 2, "weight is not a matrix", "sizes (out features, in features)", **both)
    require("linear", input.ndim > 0, "input has no dimensions", **both)
    require_same_dtype("linear", input=input, weight=weight, bias=bias)
    require_equal(
        "linear", "inner sizes differ", "input.size(-1)", input.shape[-1], "weight.size(-1)", weight.shape[1], **both
    )
    if bias is not None:
        require("linear", bias.ndim == 1, "bias is not a vector", "sizes (out features,)", bias=bias)
        both = {"weight": weight, "bias": bias}
        require_equal(
            "linear", "sizes differ", "bias.size(0)", bias.shape[0], "weight.size(0)", weight.shape[0], **both
        )
