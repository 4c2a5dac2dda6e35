"""Kernels of pooling for arrays: strided views of the input, one for every place in a window, combined one by one.

Each kernel travels into emitted source as it stands here.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "max_pool2d_fast",
    "max_pool2d_grad_fast",
    "max_pool2d_place_fast",
    "sum_pool2d_fast",
    "sum_pool2d_grad_fast",
]


def _counts(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any) -> Any:
    found = []
    for i in (0, 1):
        size = x.shape[x.ndim - 2 + i]
        span = size + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1
        count = span // stride[i] + 1
        if ceil_mode:
            count = min(-(-span // stride[i]) + 1, (size + padding[i] - 1) // stride[i] + 1)
        if count < 1 or x.ndim not in (3, 4) or 2 * padding[i] > dilation[i] * (kernel[i] - 1) + 1:
            raise ValueError("pooling: the windows do not fit the input")
        found.append(count)
    return found


def _framed(np: Any, x: Any, counts: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, value: Any) -> Any:
    """The input with `value` around it, as far as the windows reach."""
    h, w = x.shape[-2:]
    ph, pw = padding
    high = stride[0] * (counts[0] - 1) + dilation[0] * (kernel[0] - 1) + 1
    wide = stride[1] * (counts[1] - 1) + dilation[1] * (kernel[1] - 1) + 1
    if not ph and not pw and high <= h and wide <= w:
        return x
    found = np.full((*x.shape[:-2], max(high, h + ph), max(wide, w + pw)), value, x.dtype)
    found[..., ph : ph + h, pw : pw + w] = x
    return found


def _parts(x: Any, counts: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """For every place in a window, the elements at that place of all windows."""
    found = []
    for i in range(kernel[0]):
        top = i * dilation[0]
        rows = slice(top, top + stride[0] * (counts[0] - 1) + 1, stride[0])
        for j in range(kernel[1]):
            left = j * dilation[1]
            found.append(x[..., rows, left : left + stride[1] * (counts[1] - 1) + 1 : stride[1]])
    return found


def _least(np: Any, dtype: Any) -> Any:
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def _combined(ufunc: Any, parts: Any, out: Any) -> Any:
    """All parts together, in `out` where there is one."""
    if len(parts) == 1:
        if out is None:
            return parts[0].copy()
        out[...] = parts[0]
        return out
    found = ufunc(parts[0], parts[1], out=out)
    for part in parts[2:]:
        ufunc(found, part, out=found)
    return found


def max_pool2d_fast(
    np: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, dilation, _least(np, x.dtype))
    parts = _parts(wide, counts, kernel_size, stride, dilation)
    return _combined(np.maximum, parts, out)


def max_pool2d_place_fast(
    np: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, dilation, _least(np, x.dtype))
    parts = _parts(wide, counts, kernel_size, stride, dilation)
    best = parts[0].copy()
    found = np.zeros(best.shape, np.int64) if out is None else out
    found[...] = 0
    for k, part in enumerate(parts):
        # NaN wins over all and keeps its place: it compares false with everything.
        better = ~(part <= best) & (best == best)
        found[better] = k
        best = np.where(better, part, best)
    return found


def max_pool2d_grad_fast(
    np: Any,
    g: Any,
    x: Any,
    y: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, dilation, _least(np, x.dtype))
    found = np.empty(wide.shape, g.dtype) if out is None or wide is not x else out
    parts = _parts(wide, counts, kernel_size, stride, dilation)
    targets = _parts(found, counts, kernel_size, stride, dilation)
    apart = dilation == (1, 1) and stride[0] >= kernel_size[0] and stride[1] >= kernel_size[1]
    if len(parts) * y.size != found.size or not apart:  # some elements are in no window, or in several
        found[...] = 0
    missing = y != y
    some_missing = missing.any()
    # Only the first element that equals the largest gets the gradient. NaN, which equals nothing, is taken as it is.
    free = np.ones(y.shape, bool)
    for k, part in enumerate(parts):
        if k == len(parts) - 1:
            hit = free  # found nowhere before
        else:
            hit = part == y
            if some_missing:
                hit |= missing & (part != part)
            hit &= free
            free ^= hit
        if apart:
            np.multiply(g, hit, out=targets[k])
        else:
            targets[k] += g * hit
    if wide is not x:
        found = found[..., padding[0] : padding[0] + x.shape[-2], padding[1] : padding[1] + x.shape[-1]]
    if found is out or out is None:
        return np.ascontiguousarray(found)
    out[...] = found
    return out


def sum_pool2d_fast(
    np: Any,
    x: Any,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = _counts(x, kernel_size, stride, padding, (1, 1), ceil_mode)
    wide = _framed(np, x, counts, kernel_size, stride, padding, (1, 1), 0)
    parts = _parts(wide, counts, kernel_size, stride, (1, 1))
    return _combined(np.add, parts, out)


def sum_pool2d_grad_fast(
    np: Any,
    g: Any,
    *,
    input_size: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    stride = stride or kernel_size
    counts = g.shape[-2:]
    h, w = input_size[-2:]
    ph, pw = padding
    high = max(h + 2 * ph, stride[0] * (counts[0] - 1) + kernel_size[0])
    wide = max(w + 2 * pw, stride[1] * (counts[1] - 1) + kernel_size[1])
    found = np.zeros((*g.shape[:-2], high, wide), g.dtype)
    for target in _parts(found, counts, kernel_size, stride, (1, 1)):
        target += g
    found = found[..., ph : ph + h, pw : pw + w]
    if out is None:
        return np.ascontiguousarray(found)
    out[...] = found
    return out
