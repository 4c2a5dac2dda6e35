"""What plain nodes become: views, element-wise lines and kernels, calls of quick kernels, scans and sorts."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ...ir.errors import UnsupportedError
from ...ir.families import normalise_dim
from ...ir.graph import Node, Value
from ...ir.graph_sizes import attribute_variables
from ...ir.registry import Op
from ...ir.sizes import Size, free_vars
from ...ir.types import INT, NONE, TensorType, Type
from .blocks import BLOCK
from .embed import why_not_embedded
from .emitter import Emitter, Line
from .kernels import Kernel, fused_kernel, literal_of, literal_text, node_terms, single_step, step_line
from .nests import nest_function
from .seats import Seat
from .steps import Array, Number, Program, Result, Term
from .text import dtype_text
from .views import view_facts

__all__ = ["emit_group", "emit_plain", "own_kernel", "why_opened"]


def own_kernel(op: Op) -> Any:
    """The kernel to copy into a source: an op's quick one, or what it was declared with."""
    if op.fast is not None:
        return op.fast if why_not_embedded(op.fast) is None else None
    declared = op.kind == "opaque" or (op.kind == "composite" and op.kernel is not op.extras.get("reference"))
    return op.kernel if declared and why_not_embedded(op.kernel) is None else None


def why_opened(op: Op) -> str | None:
    """Why a composite must be opened before it can be written, or None where it can stay whole."""
    if op.kind != "composite" or own_kernel(op) is not None:
        return None
    return "it has no kernel that can be copied into source"


def emit_plain(e: Emitter, node: Node) -> None:
    """Write a node that is not part of the graph's structure.

    Raises:
        UnsupportedError: for one that cannot be written; the message says why.
    """
    op = node.op
    if op.view and own_kernel(op) is not None:
        _view(e, node)
    elif op.kind == "elementwise" and (op.fast is None or own_kernel(op) is None):
        _elementwise(e, node)
    elif own_kernel(op) is not None:
        _call(e, node)
    elif op.kind in ("nest", "scatter"):
        _nest(e, node)
    elif op.kind == "scan":
        _scan(e, node)
    elif op.kind == "sort":
        _sort(e, node)
    else:
        raise UnsupportedError(f"{op.name}: {why_not_embedded(op.kernel) or 'no form in NumPy source'}")


# ------------------------------------------------------------------------------------------------------------ views


def _view(e: Emitter, node: Node) -> None:
    """A view is made with the plan where its base is; one that NumPy can only copy gets memory of its own."""
    base, value = e.seats[node.inputs[0]], node.output
    type_ = value.type
    assert isinstance(type_, TensorType)
    facts = view_facts(node, e.sample)
    contiguous = base.contiguous if facts.in_order else False
    text = _kernel_call(e, node)
    known = e.is_planned(type_.sizes) and e.attrs_planned(node)
    if facts.in_order and not facts.by_strides and base.contiguous is False and known:
        return _filled(e, node, base)
    if not (base.static and known and (facts.by_strides or base.contiguous) and _never_fails(node)):
        name = e.assign(e.names.new("v"), text, node)
        seat = Seat(name, base.storage, contiguous=contiguous)
    else:
        if not facts.by_strides:
            text = f"{e.helper('settled')}({text}, {base.text})"
        name = e.plan_line(e.names.new("v"), text)
        seat = Seat(name, base.storage, static=True, contiguous=contiguous)
    if base.storage is not None:
        base.storage.holders.add(value)
    e.seats[value] = seat


def _never_fails(node: Node) -> bool:
    """Whether a view can be made although its block may not be run: sizes that are symbols may be wrong where another
    block is run, as in `x[3] if len(x) > 3 else ...`."""
    assert node.block is not None
    if node.block.parent is None:
        return True
    symbols = any(attribute_variables(value) for value in node.attrs.values())
    return not symbols and all(isinstance(x.type, TensorType) and x.type.is_static for x in node.inputs)


def _filled(e: Emitter, node: Node, base: Seat) -> None:
    """A reshape of what does not lie in one piece: the elements are copied, in their order."""
    out, _ = e.allocate(node.output, node)
    source = node.inputs[0].type
    assert isinstance(source, TensorType)
    seat = e.seats[node.output]
    same = f"{out}.reshape({e.shape(source.sizes)})"
    to = e.plan_line(e.names.new("v"), same) if seat.static else same
    e.line(f"np.copyto({to}, {base.text})", node)


# ----------------------------------------------------------------------------------------------------- element-wise


def _elementwise(e: Emitter, node: Node) -> None:
    program = Program()
    terms = {value: _term(e, value) for value in node.inputs if literal_of(value) is None}
    term = node_terms(program, node, terms, e.size)
    if not program.steps and isinstance(term, Array):
        return _same(e, node, term)
    step = single_step(program, term)
    if step is None:
        if isinstance(term, Number):
            out, _ = e.allocate(node.output, node)
            return e.line(f"{out}.fill({literal_text(term)})", node)
        return emit_group(e, node, [(v, v) for v in dict.fromkeys(node.inputs)], [node], [node.output])
    step.register, _ = e.allocate(node.output, node, _tensors(node.inputs))

    def text(argument: Term) -> str:
        assert not isinstance(argument, Result)
        return argument.name if isinstance(argument, Array) else literal_text(argument)

    e.line(step_line(step, text, lambda argument: _steady(e, argument, node), e.embed), node)


def _same(e: Emitter, node: Node, term: Array) -> None:
    """A node that gives its operand: the value sits where the operand does."""
    operand = next(value for value in node.inputs if literal_of(value) is None and e.seats[value].text == term.name)
    seat = e.seats[operand]
    if operand.type != node.output.type:
        out, _ = e.allocate(node.output, node)
        e.line(f"np.copyto({out}, {seat.text})", node)
        return
    if seat.storage is not None:
        seat.storage.holders.add(node.output)
    e.seats[node.output] = Seat(seat.text, seat.storage, seat.whole, seat.static, seat.contiguous, fresh=False)


def _term(e: Emitter, value: Value) -> Term:
    type_, text = value.type, e.seats[value].text
    if isinstance(type_, TensorType):
        return Array(text, type_.dtype)
    dtype = type_.dtype  # type: ignore[attr-defined]
    return Number(dtype, text=text)


def _tensors(values: Sequence[Value]) -> list[Value]:
    return [value for value in dict.fromkeys(values) if isinstance(value.type, TensorType)]


def _steady(e: Emitter, number: Number, node: Node) -> str:
    """A literal beside an array, as maximum and minimum like it."""
    type_ = node.output.type
    assert isinstance(type_, TensorType)
    if number.text or not e.is_planned(type_.sizes):
        return literal_text(number)
    arguments = f"{literal_text(number)}, {dtype_text(number.dtype)}, {e.shape(type_.sizes)}"
    return e.plan_line(e.names.new("k"), f"{e.helper('steady')}({arguments})")


def emit_group(
    e: Emitter, node: Node, inputs: Sequence[tuple[Value, Value]], nodes: Sequence[Node], outputs: Sequence[Value]
) -> None:
    """Write element-wise nodes as one kernel.

    Args:
        node: what stands in the graph.
        inputs: each input as the nodes know it, and as it has a seat.
        outputs: the node's outputs as the nodes know them.
    """
    literals = {inner: literal_of(outer) for inner, outer in inputs}
    operands = [outer for _, outer in inputs]
    free = [v for v in _tensors(operands) if operands.count(v) == 1]
    aliases: dict[int, int] = {}
    outs = []
    for i, output in enumerate(node.outputs):
        name, old = e.allocate(output, node, [v for v in free if v.type == output.type])
        outs.append(name)
        if old is not None:
            aliases[i] = operands.index(old)
            free.remove(old)
    name = e.names.new("g")
    size_names: dict[str, None] = {}

    def size(expression: Size) -> str:
        size_names.update(dict.fromkeys(e.sizes[variable] for variable in sorted(free_vars(expression))))
        return e.size(expression)

    kernel = fused_kernel(f"kernel_{name}", literals, nodes, outputs, aliases, size, size_names, e.embed)
    if any("select(" in line for line in kernel.lines):
        e.helper("select")
    e.kernels.append([Line(0, line, origin) for line, origin in zip(kernel.lines, kernel.origins, strict=True)])
    passed = [v for i, v in enumerate(operands) if literal_of(v) is None and i not in aliases.values()]
    types = [v.type for v in (*passed, *node.outputs) if isinstance(v.type, TensorType)]
    planned = all(e.is_planned(type_.sizes) for type_ in types)
    e.plan_line(
        name,
        _fused(e, name, [*(v.type for v in passed), *[INT] * len(size_names)], node, kernel)
        if planned
        else _resized(e, name, kernel),
    )
    # Numbers go in as arrays where the work may be cut into blocks.
    small = planned and all(type_.is_static and prod(type_.sizes) <= BLOCK for type_ in types)
    texts = [(e.seats[v].text, small or isinstance(v.type, TensorType)) for v in passed]
    texts += [(text, small) for text in size_names]
    arguments = [text if as_it_is else f"np.asarray({text})" for text, as_it_is in texts]
    e.line(f"{name}({', '.join([*arguments, *outs])})", node)


def _fused(e: Emitter, name: str, passed: Sequence[Type], node: Node, kernel: Kernel) -> str:
    """What calls a group's kernel, for sizes that the plan knows."""
    types = [*passed, *(output.type for output in node.outputs)]
    shapes = [e.shape(type_.sizes) if isinstance(type_, TensorType) else "()" for type_ in types]
    parts = [f"kernel_{name}", shapes[-1], _tuple(shapes), *_kernel_needs(kernel)]
    return f"{e.helper('fused')}({', '.join(parts)})"


def _resized(e: Emitter, name: str, kernel: Kernel) -> str:
    """What calls a group's kernel, for the sizes that it finds."""
    return f"{e.helper('Resized')}({', '.join([f'kernel_{name}', *_kernel_needs(kernel)])})"


def _kernel_needs(kernel: Kernel) -> list[str]:
    registers = [dtype_text(dtype) for dtype in kernel.registers]
    constants = [f"({literal_text(Number(d, value=v))}, {dtype_text(d)})" for v, d in kernel.constants]
    return [_tuple(registers), _tuple(constants), str(kernel.cost), "scratch"]


def _tuple(items: Sequence[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


# ------------------------------------------------------------------------------------------------------------ calls


def _kernel_call(e: Emitter, node: Node, extra: Sequence[str] = ()) -> str:
    """The call of an op's own kernel."""
    name = e.embed(own_kernel(node.op) or _refuse(node))
    arguments = ["np"] if node.op.fast is not None else []
    arguments += ["None" if v.type is NONE else e.seats[v].text for v in node.inputs]
    return f"{name}({', '.join([*arguments, *e.attrs(node), *extra])})"


def _refuse(node: Node) -> Any:
    raise UnsupportedError(f"{node.op.name}: {why_not_embedded(node.op.fast or node.op.kernel)}")


def _call(e: Emitter, node: Node) -> None:
    op = node.op
    types = [value.type for value in node.outputs]
    written = op.fast is not None and all(isinstance(t, TensorType) and e.is_known(t.sizes) for t in types)
    if not written:
        return _fresh_call(e, node)
    outs = [e.allocate(value, node)[0] for value in node.outputs]
    extra = [f"out={outs[0]}" if len(outs) == 1 else f"out=({', '.join(outs)})"]
    if op.scratch is not None:
        arrays = e.scratch(op.scratch([value.type for value in node.inputs], node.attrs))
        extra += [f"scratch={_tuple(arrays)}"] if arrays else []
    e.line(_kernel_call(e, node, extra), node)


def _fresh_call(e: Emitter, node: Node) -> None:
    """A kernel that makes its results itself."""
    names = [e.names.new("v") for _ in node.outputs]
    e.function.assigned.update(names)
    e.line(f"{', '.join(names)} = {_kernel_call(e, node)}", node)
    for value, name in zip(node.outputs, names, strict=True):
        e.seat_loose(value, name, fresh=True)
        e.learn(value, name)


# ------------------------------------------------------------------------------------------- nests, scans and sorts


def _nest(e: Emitter, node: Node) -> None:
    name = e.names.new("nest")
    outs = [e.allocate(value, node)[0] for value in node.outputs]
    for helper in ("slabs", "inside"):
        e.helper(helper)
    lines, variables = nest_function(name, node, e.embed)
    e.kernels.append([Line(0, line, node if line.startswith(" ") else None) for line in lines])
    sizes = [e.sizes[variable] for variable in variables]
    e.line(f"{name}({', '.join([*sizes, *e.texts(node.inputs), *outs])})", node)


def _scan(e: Emitter, node: Node) -> None:
    type_ = node.output.type
    assert isinstance(type_, TensorType)
    (x,) = e.texts(node.inputs)
    out, _ = e.allocate(node.output, node)
    if not type_.sizes:
        e.line(f'np.copyto({out}, {x}, casting="unsafe")', node)
        return
    axis = normalise_dim(node.op.short, node.attrs["dim"], type_.ndim)
    function = {"sum": "np.cumsum", "prod": "np.cumprod"}[node.op.extras["combiner"]]
    e.line(f"{function}({x}, axis={axis}, dtype={dtype_text(type_.dtype)}, out={out})", node)


def _sort(e: Emitter, node: Node) -> None:
    type_ = node.inputs[0].type
    assert isinstance(type_, TensorType)
    (x,) = e.texts(node.inputs)
    values, places = (e.allocate(value, node)[0] for value in node.outputs)
    if not type_.sizes:
        e.line(f"np.copyto({values}, {x})", node)
        e.line(f"{places}.fill(0)", node)
        return
    axis = normalise_dim(node.op.short, node.attrs["dim"], type_.ndim)
    sort = e.helper("sort_into")
    e.line(f"{sort}({x}, {axis}, {bool(node.attrs['descending'])}, {values}, {places})", node)
