"""The families: declarations that turn one fact about an op into everything that Ingot needs of it.

`elementwise` takes a scalar body, `nest` and `scatter` a nest function, `scan` a combiner, `sort` an order,
`composite` a decomposition into other ops, `opaque` a type rule and a kernel. Each derives the op's type rule and
its kernel, and registers it. What every keyword means stands in `registry.Op`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .algebra import TYPES, Proxy, run_raw, type_of
from .arrays import algebra_of, namespace, quiet_reset, quiet_set, workspace
from .dtypes import DType, bfloat16, bool_, get_default_dtype, int64, result_dtype
from .errors import CaptureError, DTypeError, IndexOutOfRange, ShapeError
from .graph_sizes import bounds_in
from .nest import build_nest
from .nest_arrays import run_nest
from .primitives import PRIMITIVES
from .registry import Infer, NotDifferentiable, NotExportable, Op, register
from .scalar import ARRAYS, Arg, Expr, evaluate, trace_scalar
from .schema import Schema, parse_schema
from .sizes import Size, SizeExpr, equal
from .sizes import current_context as size_context
from .types import NONE, KeyType, ScalarType, TensorType, Type

__all__ = [
    "broadcast_sizes",
    "composite",
    "elementwise",
    "elementwise_dtype",
    "elementwise_tree",
    "nest",
    "nest_of",
    "normalise_dim",
    "normalise_dims",
    "opaque",
    "scan",
    "scatter",
    "single_ufunc",
    "sort",
]

Grad = Mapping[str | tuple[str, ...], Callable[..., Any]] | NotDifferentiable


def _register(kind: str, signature: str, infer: Infer, kernel: Callable[..., Any], facts: dict[str, Any]) -> Op:
    schema = parse_schema(signature)
    head = signature.split("(")[0].strip()
    name = head if "::" in head else f"ingot::{head}"
    facts = {k: v for k, v in facts.items() if v is not None}
    if isinstance(facts.get("onnx"), str) and facts["onnx"].startswith("no: "):
        facts["onnx"] = NotExportable(facts["onnx"][4:])
    if not facts.get("extras", {}).get("binds_sizes"):
        infer = _memoised(infer)
    return register(Op(name=name, schema=schema, kind=kind, infer=infer, kernel=kernel, **facts))


def _memoised(infer: Infer) -> Infer:
    """Type rules are pure, but for the size context, which matters where there are size variables: each signature is
    inferred once, or once in each context. What a context was asked once it knows, so nothing is assumed twice."""
    memo: dict[Any, tuple[Type, ...]] = {}

    def remembered(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        # 1, 1.0 and True are equal as keys, and are not one attribute. Size variables of one name are equal
        # whatever their bounds, which decide what is inferred and belong to the result.
        bounds = bounds_in(types, attrs)
        key = (tuple(types), get_default_dtype(), bounds, *attrs.items(), *map(type, attrs.values()))
        context = size_context() if bounds else None
        known = memo if context is None else context.inferred.setdefault(infer, {})
        try:
            found = known.get(key)
        except TypeError:  # an attribute that holds an array
            return infer(types, attrs)
        if found is None:
            found = infer(types, attrs)
            if len(known) > 10_000:
                known.clear()
            known[key] = found
        return found

    return remembered


# ---------------------------------------------------------------------------------------------------- elementwise


def elementwise(
    signature: str,
    *,
    scalar: Callable[..., Any],
    grad: Grad | None = None,
    onnx: Any = None,
    promotion: str = "same",
    keep: tuple[str, ...] = (),
    fast: Callable[..., Any] | None = None,
    view: bool = False,
    inverse: Callable[..., Any] | None = None,
    doc: str = "",
    version: int = 1,
) -> Op:
    """Declare an op that computes each element from the elements at the same place.

    Args:
        scalar: the body, a function of the scalar language, the operands and the attributes.
        promotion: `"same"` brings operands to one dtype by PyTorch's rules, `"float"` to a floating one.
        keep: inputs that keep their own dtype.
        fast: an array kernel in place of the body's own evaluation, tested against it.

    >>> from ingot.ir.registry import lookup
    >>> lookup("relu").kind
    'elementwise'
    """
    schema = parse_schema(signature)
    promotes = tuple(p.name for p in schema.inputs if p.name not in keep)
    op: Op

    def infer(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        sizes = broadcast_sizes(schema, types)
        dtype = elementwise_tree(op, types, attrs).dtype
        device = next((t.device for t in types if isinstance(t, TensorType) and t.device), None)
        return (TensorType(dtype, sizes, device),)

    kernel = _elementwise_kernel(schema, scalar, promotes, promotion, view, infer)
    facts = {"body": scalar, "grad": grad, "onnx": onnx, "fast": fast, "view": view, "inverse": inverse, "doc": doc}
    facts |= {"promotes": promotes, "promotion": promotion, "version": version}
    op = _register("elementwise", signature, infer, kernel, facts)
    return op


def single_ufunc(op: Op) -> Any:
    """The NumPy function that is an element-wise op's whole body, where that is one primitive of the operands in
    order; else None."""
    scalar = op.body
    if op.kind != "elementwise" or scalar is None or op.schema.attributes or op.schema.variadic is not None:
        return None
    for dtype in ("f32", "i64", "bool"):
        try:
            tree = trace_scalar(scalar, (DType.of(dtype),) * len(op.schema.inputs), {})
        except DTypeError:
            continue
        plain = all(isinstance(a, Arg) and a.index == i for i, a in enumerate(tree.args))
        if not plain or len(tree.args) != len(op.schema.inputs) or tree.op not in PRIMITIVES:
            return None
        return PRIMITIVES[tree.op].array if PRIMITIVES[tree.op].source else None
    return None


def elementwise_dtype(op: Op, operands: Sequence[Type]) -> DType:
    """The dtype that the promoted operands are brought to."""
    dimensioned: list[DType] = []
    zero_dim: list[DType] = []
    numbers: list[DType] = []
    for parameter, type_ in zip(op.schema.inputs, operands, strict=True):
        if parameter.name not in op.promotes:
            continue
        if isinstance(type_, ScalarType):
            numbers.append(type_.dtype)
        elif isinstance(type_, TensorType):
            (dimensioned if type_.sizes else zero_dim).append(type_.dtype)
        else:
            raise DTypeError(f"{op.short}: {parameter.name} is {type_}, not a tensor or a number")
    found = result_dtype(dimensioned, zero_dim, numbers)
    return get_default_dtype() if op.promotion == "float" and found.kind != "float" else found


def elementwise_tree(op: Op, types: Sequence[Type], attrs: Mapping[str, Any]) -> Expr:
    """The typed scalar tree of an elementwise op for operands of the given types; operands that are promoted
    enter it in the common dtype."""
    assert op.body is not None
    common = elementwise_dtype(op, types) if op.promotes else None
    dtypes: list[DType] = []
    for parameter, type_ in zip(op.schema.inputs, types, strict=True):
        own = type_.dtype if isinstance(type_, (TensorType, ScalarType)) else None
        chosen = common if parameter.name in op.promotes else own
        if chosen is None:
            raise DTypeError(f"{op.short}: {parameter.name} is {type_}, not a tensor or a number")
        dtypes.append(chosen)
    try:
        return trace_scalar(op.body, tuple(dtypes), attrs)
    except DTypeError as error:
        names = ", ".join(f"{p.name}: {t}" for p, t in zip(op.schema.inputs, types, strict=True))
        raise DTypeError(f"{op.short}: {error.what}", found=names, advice=error.advice) from None


def _elementwise_kernel(
    schema: Schema,
    scalar: Callable[..., Any],
    promotes: tuple[str, ...],
    promotion: str,
    view: bool,
    infer: Infer,
) -> Callable[..., Any]:
    positions = tuple(i for i, p in enumerate(schema.inputs) if p.name in promotes)
    wants_float = promotion == "float"
    ndarray = np.ndarray

    def quick(operands: tuple[Any, ...]) -> bool:
        """Whether NumPy computes with these as they are: arrays of one dtype, and Python floats among floats."""
        dtype = None
        weak = False
        for i in positions:
            value = operands[i]
            if value.__class__ is ndarray:
                if dtype is None:
                    dtype = value.dtype
                elif value.dtype is not dtype:
                    return False
            elif value.__class__ is float:
                weak = True
            else:
                return False
        return dtype is not None and (dtype.kind == "f" or (dtype.kind in "iu" and not (weak or wants_float)))

    def kernel(*operands: Any, **attrs: Any) -> Any:
        token = quiet_set()
        try:
            if quick(operands):
                result = scalar(ARRAYS, *operands, **attrs)
            else:
                result = general(operands, attrs)
        except (ValueError, TypeError, OverflowError):
            infer([type_of(x) for x in operands], attrs)  # which says it in the op's words
            raise
        finally:
            quiet_reset(token)
        if result.__class__ is not ndarray:
            result = namespace(*operands).asarray(result)
        # A body that hands an operand back as it is (clamp without limits) still makes a result of its own.
        return result if view or result is not operands[0] else result.copy()

    def general(operands: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        if positions:
            operands, common = _promote_arrays(operands, positions, wants_float)
            if common is bfloat16 or common is bool_:
                return _typed_result(schema, scalar, operands, attrs)
        return scalar(algebra_of(namespace(*operands)), *operands, **attrs)

    return kernel


def _typed_result(
    schema: Schema, scalar: Callable[..., Any], operands: tuple[Any, ...], attrs: Mapping[str, Any]
) -> Any:
    """The body's typed tree, evaluated. Beside bfloat16, which NumPy does not know, and beside bools, Python's numbers
    are not weak: a body computed with them would end in float32, or in int64."""
    xp = namespace(*operands)
    typed = [x if hasattr(x, "dtype") else DType.of(type(x)).np.type(x) for x in operands]
    tree = trace_scalar(scalar, tuple(DType.of(x.dtype) for x in typed), attrs)
    result = evaluate(tree, lambda leaf: typed[leaf.index], algebra_of(xp))  # type: ignore[attr-defined]
    sizes = np.broadcast_shapes(*(x.shape for x in typed))
    return xp.array(xp.broadcast_to(result, sizes))


def _promote_arrays(
    operands: tuple[Any, ...], positions: tuple[int, ...], wants_float: bool
) -> tuple[tuple[Any, ...], DType]:
    """The operands with those at `positions` in their common dtype, and that dtype."""
    dimensioned: list[DType] = []
    zero_dim: list[DType] = []
    numbers: list[DType] = []
    for i in positions:
        value = operands[i]
        if isinstance(value, (bool, int, float)):
            numbers.append(_NUMBER_DTYPES.get(type(value)) or get_default_dtype())
        else:
            (dimensioned if value.ndim else zero_dim).append(DType.of(value.dtype))
    common = result_dtype(dimensioned, zero_dim, numbers)
    if wants_float and common.kind != "float":
        common = get_default_dtype()
    found = list(operands)
    target = common.np
    weak = bool(dimensioned or zero_dim) and common is not bfloat16
    for i in positions:
        value = operands[i]
        if isinstance(value, (bool, int, float)):
            # A Python number beside an array stays weak, which NumPy computes fastest; an integer that the dtype does
            # not hold wraps around.
            if common.kind == "int" and not common.holds(int(value)):
                found[i] = np.asarray(value, np.int64).astype(target)
            elif not weak or (common.kind == "float" and not isinstance(value, float)):
                found[i] = target.type(value)
        elif value.dtype is not target:
            found[i] = value.astype(target)
    return tuple(found), common


_NUMBER_DTYPES: dict[type, DType] = {bool: DType.of(bool), int: int64}


def broadcast_sizes(schema: Schema, types: Sequence[Type]) -> tuple[Size, ...]:
    """The common shape of tensors by NumPy's rule: sizes align at the right, and 1 stretches.

    Raises:
        ShapeError: when two sizes differ and neither is 1.
    """
    result: tuple[Size, ...] = ()
    for type_ in types:
        if not isinstance(type_, TensorType) or type_.sizes == result:
            continue
        if not result:
            result = type_.sizes
            continue
        result = _broadcast_pair(schema, result, type_.sizes, types)
    return result


def _broadcast_pair(
    schema: Schema, a: tuple[Size, ...], b: tuple[Size, ...], types: Sequence[Type]
) -> tuple[Size, ...]:
    if len(a) < len(b):
        a, b = b, a
    sizes = list(a)
    shift = len(a) - len(b)
    for i, size in enumerate(b):
        other = a[shift + i]
        if size == other or size == 1:
            continue
        if other == 1:
            sizes[shift + i] = size
        elif equal(other, size) is not True:
            named = tuple(f"{p.name}: {t}" for p, t in zip(schema.inputs, types, strict=False))
            raise ShapeError(
                f"{schema.name}: sizes do not broadcast",
                expected=f"equal sizes, or 1, at dimension {shift + i - len(a)}",
                found=f"{other} != {size}",
                notes=("  " + "   ".join(named),),
            )
        elif isinstance(size, int):
            sizes[shift + i] = size
    return tuple(sizes)


# ----------------------------------------------------------------------------------------------- nests and scatters


def nest(signature: str, *, kind: str = "nest", **facts: Any) -> Callable[[Callable[..., Any]], Op]:
    """Declare an op by a nest function; see the module `nest` for the language.

    Keywords are `registry.Op`'s: `fast`, `scratch`, `grad`, `onnx`, `view`, `inverse`, `version`.
    """
    schema = parse_schema(signature)
    fast = facts.get("fast")

    def declare(function: Callable[..., Any]) -> Op:
        def infer(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
            for parameter, type_ in zip(schema.inputs, schema.unflatten(types), strict=True):
                _check_tensor(schema, parameter.name, parameter.optional, type_)
            return build_nest(schema.name, function, schema.unflatten(types), attrs).types

        def reference(*arrays: Any, **attrs: Any) -> Any:
            types = [type_of(a) for a in arrays]
            token = quiet_set()
            try:
                built = build_nest(schema.name, function, schema.unflatten(types), attrs)
                found = run_nest(built, arrays)
            finally:
                quiet_reset(token)
            return found[0] if len(found) == 1 else found

        kernel = reference if fast is None else _fast_kernel(schema.name, fast, infer, facts.get("scratch"))
        doc = facts.pop("doc", None) or function.__doc__ or ""
        op = _register(kind, signature, infer, kernel, {"body": function, "doc": doc, **facts})
        op.extras["reference"] = reference
        return op

    return declare


def scatter(signature: str, **facts: Any) -> Callable[[Callable[..., Any]], Op]:
    """Declare an op that combines values into computed places of a tensor (`n.scatter`)."""
    return nest(signature, kind="scatter", **facts)


def nest_of(op: Op, types: Sequence[Type], attrs: Mapping[str, Any]) -> Any:
    """The nest of a nest or scatter op for given input types."""
    assert op.body is not None
    return build_nest(op.short, op.body, op.schema.unflatten(types), attrs)


def _check_tensor(schema: Schema, name: str, optional: bool, type_: Any) -> None:
    items = type_ if isinstance(type_, tuple) else (type_,)
    for item in items:
        if not isinstance(item, (TensorType, KeyType)) and not (optional and item is NONE):
            raise DTypeError(f"{schema.name}: {name} is {item}, not a tensor", expected=schema.text)


def _fast_kernel(name: str, fast: Callable[..., Any], infer: Infer, scratch: Any) -> Callable[..., Any]:
    """A kernel that trusts its operands, and on any failure lets the type rule say what is wrong with them."""

    def kernel(*arrays: Any, **attrs: Any) -> Any:
        first = arrays[0] if arrays else None
        xp = np if type(first) is np.ndarray else namespace(*arrays)
        token = quiet_set()
        try:
            if scratch is not None and xp is np:
                return fast(xp, *arrays, **attrs, scratch=workspace)
            return fast(xp, *arrays, **attrs)
        except (ValueError, TypeError, IndexError, ArithmeticError) as error:
            infer([type_of(a) for a in arrays], attrs)
            if isinstance(error, IndexError):
                raise IndexOutOfRange(f"{name}: {error}") from None
            raise
        finally:
            quiet_reset(token)

    return kernel


# -------------------------------------------------------------------------------------------------- scans and sorts


def _along_dim(schema: Schema, types: Sequence[Type], attrs: Mapping[str, Any]) -> TensorType:
    """The type of the one input, which has the dimension that `dim` names."""
    (type_,) = types
    _check_tensor(schema, schema.inputs[0].name, False, type_)
    assert isinstance(type_, TensorType)
    normalise_dim(schema.name, attrs["dim"], max(type_.ndim, 1))
    return type_


def scan(signature: str, *, combiner: str, **facts: Any) -> Op:
    """Declare running combinations along `dim`: out[i] = combine(x[0], ..., x[i]). `combiner`: sum or prod."""
    ufunc = {"sum": "cumsum", "prod": "cumprod"}[combiner]
    schema = parse_schema(signature)

    def infer(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        type_ = _along_dim(schema, types, attrs)
        return (type_.with_(dtype=type_.dtype if type_.dtype.kind == "float" else int64),)

    def kernel(x: Any, *, dim: int) -> Any:
        xp = namespace(x)
        wide = x.dtype if x.dtype.kind not in "iub" else np.dtype(np.int64)
        if not x.ndim:
            return x.astype(wide)
        return getattr(xp, ufunc)(x, axis=normalise_dim(schema.name, dim, x.ndim), dtype=wide)

    facts["extras"] = {"combiner": combiner}
    return _register("scan", signature, infer, kernel, facts)


def sort(signature: str, **facts: Any) -> Op:
    """Declare a stable sort along `dim` with outputs (values, indices); NaN counts as the largest number."""
    schema = parse_schema(signature)

    def infer(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        type_ = _along_dim(schema, types, attrs)
        return type_, type_.with_(dtype=int64)

    def kernel(x: Any, *, dim: int, descending: bool) -> Any:
        xp = namespace(x)
        if not x.ndim:
            return x.copy(), xp.zeros((), np.int64)
        axis = normalise_dim(schema.name, dim, x.ndim)
        # bfloat16's own comparison does not place NaN.
        keys = x.astype(np.float32) if x.dtype.kind == "V" else x
        if descending:
            # Sorting the reversed sequence stably and reversing again keeps equal elements in their order.
            order = xp.flip(x.shape[axis] - 1 - xp.argsort(xp.flip(keys, axis), axis=axis, kind="stable"), axis)
        else:
            order = xp.argsort(keys, axis=axis, kind="stable")
        return xp.take_along_axis(x, order, axis), order.astype(np.int64)

    return _register("sort", signature, infer, kernel, facts)


# ------------------------------------------------------------------------------------------- composites and opaques


def composite(signature: str, **facts: Any) -> Callable[[Callable[..., Any]], Op]:
    """Declare an op written in other ops: a function of the algebra `F`, the inputs and the attributes.

    Without `grad=`, the gradient is that of the decomposition. `fast=` is a quick array kernel, tested against it;
    `kernel=` is one that calls on more than an array library, such as the generator.
    """
    schema = parse_schema(signature)
    fast = facts.get("fast")
    own = facts.pop("kernel", None)

    def declare(function: Callable[..., Any]) -> Op:
        def infer(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
            operands = [None if t is NONE else Proxy(TYPES, None, t) for t in types]
            found = function(TYPES, *schema.unflatten(operands), **attrs)
            return tuple(type_of(x) for x in (found if isinstance(found, tuple) else (found,)))

        op: Op

        def decomposed(*inputs: Any, **attrs: Any) -> Any:
            return run_raw(op, inputs, attrs)

        kernel = own or (decomposed if fast is None else _fast_kernel(schema.name, fast, infer, facts.get("scratch")))
        facts.setdefault("grad", {})
        facts.setdefault("onnx", NotExportable("it is exported as its decomposition"))
        op = _register(
            "composite", signature, infer, kernel, {"body": function, "doc": function.__doc__ or "", **facts}
        )
        op.extras["reference"] = decomposed
        return op

    return declare


def opaque(signature: str, *, infer: Infer, kernel: Callable[..., Any], **facts: Any) -> Op:
    """Declare an op by a type rule and a kernel alone."""
    return _register("opaque", signature, infer, kernel, facts)


# ------------------------------------------------------------------------------------------------------- dimensions


def normalise_dim(op: str, dim: int, ndim: int) -> int:
    """A dimension counted from the front.

    Raises:
        IndexOutOfRange: when the tensor does not have it.
        CaptureError: for a number that the run decides.
    """
    if hasattr(type(dim), "__ingot_size__") or isinstance(dim, SizeExpr):
        raise CaptureError(
            f"{op}: the run decides what dim is",
            expected="a dimension that is known when the program is captured",
            found=f"dim={dim}",
            advice="give it as a plain number, and capture one program for each",
        )
    if -ndim <= dim < ndim:
        return dim + ndim if dim < 0 else dim
    raise IndexOutOfRange(
        f"{op}: dim {dim} is out of range",
        expected=f"{-ndim} <= dim < {ndim}",
        found=f"a tensor of {ndim} dimensions",
    )


def normalise_dims(op: str, dims: Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Several dimensions counted from the front; None or an empty list means all of them.

    Raises:
        IndexOutOfRange: when the tensor lacks one.
        ShapeError: when one is named twice.
    """
    if dims is None or len(dims) == 0:
        return tuple(range(ndim))
    found = tuple(normalise_dim(op, dim, max(ndim, 1)) for dim in dims)
    if len(set(found)) != len(found):
        raise ShapeError(f"{op}: a dim is named twice", found=f"dim={tuple(dims)}")
    return tuple(dim for dim in found if dim < ndim)
