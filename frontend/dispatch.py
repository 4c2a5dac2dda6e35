"""How a call of an op on tensors becomes an array computation, a tape record, or a captured node.

For every op there is one entry function, made by `entry` from the op's schema: it binds arguments as Python
does, runs the kernel, and records only when a gradient is wanted. While a capture is in progress, calls go to
`mode.tracer`. `EAGER` is the algebra `F` over tensors.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final

import numpy as np

from ..ir import arrays
from ..ir.algebra import Algebra, type_of
from ..ir.errors import DTypeError, IngotError
from ..ir.families import single_ufunc
from ..ir.locations import here
from ..ir.registry import Op, StopsGradient, lookup
from ..ir.schema import REQUIRED, Parameter
from ..ir.sizes import SizeExpr
from .mode import mode
from .storage import storage_of
from .tape import Plan, plan_of, record, record_binary, record_unary
from .tensor_base import TENSORS, TensorBase, tensor_class, wrap

__all__ = ["EAGER", "Eager", "apply", "entry", "execute", "link_view", "with_out"]


def apply(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """Call an op on bound arguments: tensors, numbers or None, and normalised attributes."""
    inputs = [x if isinstance(x, TensorBase) or _is_number(x) or x is None else as_operand(op, x) for x in inputs]
    if mode.tracer is not None:
        return mode.tracer.apply(op, inputs, attrs)
    return execute(op, inputs, attrs)


def execute(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
    """Compute eagerly and record."""
    raw = [x._array if isinstance(x, TensorBase) else x for x in inputs]
    try:
        result = op.kernel(*raw, **attrs)
    except (ValueError, TypeError, IndexError, OverflowError, IngotError) as error:
        _explain(op, inputs, attrs, error)
    if type(result) is tuple:
        outputs = tuple([wrap(r) for r in result])
        _record_any(op, inputs, attrs, outputs)
        return outputs
    output = wrap(result)
    if op.view:
        link_view(output, inputs[0], op, attrs)
    _record_any(op, inputs, attrs, (output,))
    return output


def _record_any(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any], outputs: tuple[Any, ...]) -> None:
    if mode.grad:
        for x in inputs:
            if isinstance(x, TensorBase) and x._node is not None:
                record(op, inputs, attrs, outputs)
                return


def _explain(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any], error: Exception) -> Any:
    """Let the op's type rule say what is wrong; otherwise the kernel's own error stands."""
    if isinstance(error, IngotError):
        raise error.located(here(3))
    try:
        op.infer([type_of(x._array if isinstance(x, TensorBase) else x) for x in inputs], attrs)
    except IngotError as better:
        raise better.located(here(3)) from None
    raise error


def as_operand(op: Op, value: Any) -> Any:
    """A value that is no tensor as an operand: arrays are wrapped, NumPy scalars become Python numbers.

    Raises:
        DTypeError: for anything else.
    """
    if isinstance(value, np.generic):
        return value.item()
    if arrays.is_array(value):
        return wrap(value)
    if isinstance(value, SizeExpr) or hasattr(type(value), "__ingot_size__"):
        return value
    raise DTypeError(
        f"{op.short}: an operand is of type {type(value).__name__}",
        expected="a tensor or a number",
        location=here(),
        advice="ingot.tensor(...) makes a tensor",
    )


def link_view(output: Any, source: Any, op: Op | None, step: Any) -> None:
    """Note that `output` shares the memory of `source`, if it does; `step` is the attributes of the view op, or a
    basic index where `op` is None."""
    if not np.may_share_memory(output._array, source._array) and output._array.size:
        return
    base = source if source._base is None else source._base
    output._base = base
    output._chain = (*source._chain, (op, step))
    if source._detached or (op is not None and isinstance(op.grad, StopsGradient)):
        output._detached = True
    storage = storage_of(base)
    output._storage = storage
    storage.add_view(output)


# ------------------------------------------------------------------------------------------------- entry functions

_SCALARS: Final = {"int": "int", "size": "int", "float": "float", "bool": "bool", "str": "str"}
_TEMPLATE: Final = """\
def {name}({signature}):
    if out is not None:
        return _into(out, {name}, {inputs}, {attrs})
{checks}    if _mode.tracer is not None:
        return _apply(_op, {inputs}, {attrs})
{unwrap}{fast}    try:
        _result = _kernel({raw}{keywords})
    except (ValueError, TypeError, IndexError, OverflowError, _IngotError) as _error:
        _explain(_op, {inputs}, {attrs}, _error)
{finish}"""

_ONE: Final = """\
    _output = _new(_Tensor)
    _output._array = _result
{view}    if ({nodes}) and _mode.grad:
        {record}
    return _output
"""

_SEVERAL: Final = """\
    _outputs = tuple([_wrap(r) for r in _result])
    if ({nodes}) and _mode.grad:
        _record(_op, {inputs}, {attrs}, _outputs)
    return _outputs
"""

_UNWRAP: Final = """\
    if {name}.__class__ in _TENSORS:
        a_{name} = {name}._array
        n_{name} = {name}._node
    else:
        {name}, a_{name}, n_{name} = _unwrap(_op, {name})
"""

# Both operands arrays of one dtype, or an array and a number that takes its dtype: the ufunc itself.
_BINARY: Final = """\
    _dtype = getattr(a_{x}, "dtype", None)
    if _dtype is not None and (getattr(a_{y}, "dtype", a_{y}.__class__) is _dtype{weak}){kind}:
        _token = _quiet_set()
        try:
            _result = _ufunc(a_{x}, a_{y})
        except (ValueError, TypeError, OverflowError) as _error:
            _explain(_op, {inputs}, {attrs}, _error)
        finally:
            _quiet_reset(_token)
        if _result.__class__ is not _ndarray:
            _result = _asarray(_result)
        _output = _new(_Tensor)
        _output._array = _result
        if ({nodes}) and _mode.grad:
            {record}
        return _output
"""

_RECORD: Final = {
    1: "_record_unary(_plans[0], _op, {x}, {attrs}, _output)",
    2: "_record_binary(_plans, _op, {x}, {y}, {attrs}, _output)",
}


def entry(op: Op) -> Callable[..., Any]:
    """The function that users call for an op; made once per op."""
    found = op.extras.get("entry")
    if found is None:
        found = op.extras["entry"] = _make_entry(op)
    return found


def _make_entry(op: Op) -> Callable[..., Any]:
    schema = op.schema
    if schema.variadic is not None:
        return _variadic_entry(op)
    names = [p.name for p in schema.inputs]
    parts = {
        "name": op.short if not keyword.iskeyword(op.short) else op.short + "_",
        "signature": _signature(schema.parameters),
        "checks": "".join(_check(p) for p in schema.attributes),
        "inputs": "(" + "".join(f"{n}, " for n in names) + ")",
        "attrs": "{" + ", ".join(f"'{p.name}': {p.name}" for p in schema.attributes) + "}",
        "unwrap": "".join(_UNWRAP.format(name=n) for n in names),
        "raw": ", ".join(f"a_{n}" for n in names),
        "keywords": "".join(f", {p.name}={p.name}" if names else f"{p.name}={p.name}, " for p in schema.attributes),
        "nodes": " or ".join(f"n_{n} is not None" for n in names) or "False",
        "view": f"    _link_view(_output, {names[0]}, _op, {{attrs}})\n" if op.view else "",
        "fast": "",
    }
    parts["record"] = _RECORD.get(len(names), "_record(_op, {inputs}, {attrs}, (_output,))").format(
        x=names[0] if names else "", y=names[-1] if names else "", **parts
    )
    parts["view"] = parts["view"].format(attrs=parts["attrs"])
    ufunc = single_ufunc(op)
    if ufunc is not None and len(names) == 2 and not schema.attributes:
        weak = f" or (a_{names[1]}.__class__ is float and _dtype.kind == 'f')"
        kind = " and _dtype.kind == 'f'" if op.promotion == "float" else ""
        parts["fast"] = _BINARY.format(x=names[0], y=names[1], weak=weak, kind=kind, **parts)
    parts["finish"] = (_ONE if len(schema.outputs) == 1 else _SEVERAL).format(**parts)
    # Names of ours start with an underscore, so that no parameter hides one.
    space: dict[str, Any] = {
        "_op": op, "_mode": mode, "_apply": apply, "_TENSORS": TENSORS, "_unwrap": _unwrap, "_kernel": op.kernel,
        "_IngotError": IngotError, "_explain": _explain, "_new": object.__new__, "_record": record,
        "_record_unary": record_unary, "_record_binary": record_binary, "_plans": _plans(op, len(names)), "_wrap": wrap,
        "_link_view": link_view, "_ufunc": ufunc, "_ndarray": np.ndarray, "_asarray": np.asarray,
        "_into": _into, "_Tensor": tensor_class(), "_quiet_set": arrays.quiet_set, "_quiet_reset": arrays.quiet_reset,
    }  # fmt: skip
    space |= {f"_p_{p.name}": p for p in schema.attributes} | {f"_d_{p.name}": p.default for p in schema.parameters}
    text = _TEMPLATE.format(**parts)
    exec(compile(text, f"<entry {op.name}>", "exec"), space)  # the text is ours, made from the op's schema
    function = space[parts["name"]]
    function.__doc__ = op.doc
    function.__module__ = "ingot"
    return function


def _into(out: Any, function: Callable[..., Any], inputs: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
    """A call with `out=`: inputs by position, which they are in every signature, attributes by name."""
    return into(out, function(*inputs, **attrs), function.__name__)


def with_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of several ops with the argument `out=`."""

    @wraps(function)
    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        return found if out is None else into(out, found, function.__name__)

    return call


def into(out: Any, found: Any, name: str) -> Any:
    """Write a result, or several, into the tensors of `out=`; gives those."""
    from .inplace import write_out

    if not isinstance(found, tuple):
        return write_out(out, found, name)
    if not isinstance(out, (tuple, list)) or len(out) != len(found):
        raise DTypeError(f"{name}: out= for {len(found)} results", expected="as many tensors", location=here())
    return tuple([write_out(x, y, name) for x, y in zip(out, found, strict=True)])


def _plans(op: Op, count: int) -> tuple[Plan | None, ...]:
    """The tape plans of an op with one input, or with two: for the first, the second, both."""
    if count == 1:
        return (plan_of(op, (0,), 1),)
    return tuple(plan_of(op, wanted, 2) for wanted in ((0,), (1,), (0, 1))) if count == 2 else ()


def _signature(parameters: Sequence[Parameter]) -> str:
    parts = []
    starred = False
    for p in parameters:
        if p.keyword_only and not starred:
            parts.append("*")
            starred = True
        parts.append(p.name if p.default is REQUIRED else f"{p.name}=_d_{p.name}")
    return ", ".join([*parts, *([] if starred else ["*"]), "out=None"])


def _check(p: Parameter) -> str:
    """Normalise one attribute, unless it already is what it should be."""
    normalise = f"        {p.name} = _p_{p.name}.normalise({p.name}, _op.short)\n"
    if p.kind in _SCALARS and not p.is_list:
        none = f" and {p.name} is not None" if p.optional else ""
        return f"    if {p.name}.__class__ is not {_SCALARS[p.kind]}{none}:\n{normalise}"
    none = f"    if {p.name} is not _d_{p.name}:\n" if p.default is not REQUIRED else "    if True:\n"
    return none + normalise


_NUMBERS: Final = frozenset((bool, int, float))


def _is_number(value: Any) -> bool:
    """Whether a value is a Python number. `np.float64` is a float to Python, yet has a dtype, which it would force on
    the result: the number in it is what counts."""
    if value.__class__ in _NUMBERS:
        return True
    return isinstance(value, (int, float)) and not isinstance(value, np.generic)


def _unwrap(op: Op, value: Any) -> tuple[Any, Any, Any]:
    """A value as (operand, array or number, tape node)."""
    if value.__class__ in _NUMBERS or (value is None and any(p.optional for p in op.schema.inputs)):
        return value, value, None
    if not isinstance(value, TensorBase) and not _is_number(value):
        value = as_operand(op, value)
    if isinstance(value, TensorBase):
        return value, value._array, value._node
    return value, value, None


def _variadic_entry(op: Op) -> Callable[..., Any]:
    bind = op.schema.bind

    def call(*args: Any, **kwargs: Any) -> Any:
        if mode.tracer is not None and args and hasattr(args[0], "__ingot_joined__") and args[0].has_runs:
            return args[0].__ingot_joined__(op, *args[1:], **kwargs)
        out = kwargs.pop("out", None)
        inputs, attrs = bind(args, kwargs)
        found = apply(op, inputs, attrs)
        return found if out is None else into(out, found, op.short)

    call.__name__ = op.short
    call.__doc__ = op.doc
    call.__module__ = "ingot"
    return call


class Eager(Algebra):
    """The algebra of all operators over tensors: ops by name are their entry functions."""

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        return apply(op, inputs, attrs)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self.__dict__[name] = entry(lookup(name))
        return found


EAGER: Final = Eager()
