"""From a graph to its derivative: the graph that keeps what the way back needs, and the way back.

What lives here: graphs as a whole. How gradients flow through nodes is in `gradient_walk` and, for branches and
loops, in `control_gradients`; how the result is cut in two is in `two_ways`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.builder import Builder
from ..ir.errors import ArgumentError, GradientError
from ..ir.gc_pause import paused_gc
from ..ir.graph import Graph, Value
from ..ir.graph_sizes import size_variables
from ..ir.sizes import SizeExpr, free_vars
from ..ir.types import TensorType, Type
from .dce import dce
from .gradient_walk import Back, is_floating
from .manager import assumed
from .registered import NoOptions, register_pass
from .two_ways import Derivative, Joint, Saved, Split

__all__ = ["Derivative", "DifferentiateOptions", "Saved", "derivative", "differentiate"]


@dataclass(frozen=True, slots=True)
class DifferentiateOptions:
    """Whose gradients are wanted.

    Attributes:
        inputs: positions of inputs; all floating-point ones when None.
        state: keys of state; all floating-point state when None.
    """

    inputs: tuple[int, ...] | None = None
    state: tuple[str, ...] | None = None


@register_pass(DifferentiateOptions)
def differentiate(graph: Graph, options: DifferentiateOptions) -> bool:
    """Make the joint graph: add an input for the gradient of each floating-point output, and an output for the
    gradient of each of what is wanted, zeros where nothing flows. The outputs and updates stay.

    Unlike other passes it changes what a graph means. To get the two ways apart, call `derivative`.
    """
    inputs, state = options.inputs, options.state
    if inputs is None:
        inputs = tuple(i for i, value in enumerate(graph.inputs) if is_floating(value.type))
    if state is None:
        state = tuple(key for key, value in graph.state.items() if is_floating(value.type))
    _make_joint(graph, inputs, state, ())
    dce(graph, NoOptions())
    return True


@paused_gc()
def derivative(
    graph: Graph,
    inputs: Sequence[int] = (),
    state: Sequence[str] = (),
    updates: Sequence[str] = (),
    outputs: Sequence[int] | None = None,
) -> Derivative:
    """The derivative of a graph, which stays as it is. Takes time in proportion to the graph.

    Args:
        inputs: the positions of the inputs whose gradients are wanted.
        state: the keys of the state whose gradients are wanted.
        updates: updated state whose new values gradients may come from, besides the outputs.
        outputs: the positions of the outputs that gradients come from; all floating-point ones when None.

    Raises:
        ArgumentError: for an input or state that is not there, or is no tensor of a floating-point dtype.
        GradientError: for an op on the way that has no gradient; it names the user's line.

    >>> from ingot.ir.parser import parse
    >>> found = derivative(parse('''
    ... graph @f(%x : f32[B, 2], %k : f32[2]) -> (f32[B, 2]):
    ...   %s : f32[B, 2] = ingot::sin(%x)
    ...   %y : f32[B, 2] = ingot::mul(%s, %k)
    ...   return (%y)'''), inputs=[0])
    >>> print(found.backward, end="")
    graph @f_backward(%x : f32[B, 2], %k : f32[2], %grad_y : f32[B, 2]) -> (f32[B, 2]):
      %mul : f32[B, 2] = ingot::mul(%grad_y, %k)
      %cos : f32[B, 2] = ingot::cos(%x)
      %mul_1 : f32[B, 2] = ingot::mul(%mul, %cos)
      return (%mul_1)
    >>> found.saved
    (Saved(kind='input', key=0), Saved(kind='input', key=1))
    """
    joint = graph.copy()
    made = _make_joint(joint, tuple(inputs), tuple(state), tuple(updates), outputs)
    dce(joint, NoOptions())
    return Split(joint, made).derivative()


# ------------------------------------------------------------------------------------------------- the joint graph


def _make_joint(
    graph: Graph,
    inputs: Sequence[int],
    state: Sequence[str],
    updates: Sequence[str],
    seeded: Sequence[int] | None = None,
) -> Joint:
    targets = [_wanted_input(graph, i) for i in inputs] + [_wanted_state(graph, key) for key in state]
    outputs, updated = graph.outputs, graph.updates
    for key in updates:
        if key not in updated:
            raise ArgumentError(f"differentiate: @{graph.name} does not update state {key!r}")
    chosen = range(len(outputs)) if seeded is None else seeded
    ends: dict[int | str, Value] = {i: outputs[i] for i in chosen if is_floating(outputs[i].type)}
    ends |= {key: updated[key] for key in updates}
    nodes = tuple(graph.block.nodes)
    made = Joint(len(outputs), len(graph.inputs), set(nodes), tuple(ends), (*inputs, *state))
    back = Back(Builder(graph))
    with assumed(graph):
        seeds: dict[Value, Value] = {}
        for value in ends.values():
            given = graph.add_input(f"grad_{value.name}", _seed_type(graph, value.type, back), value.location)
            if isinstance(value.type, TensorType):
                back.add(seeds, value, back.fitted(given, value.type.sizes))
        found = back.walk(nodes, seeds, targets)
        made.flows = [value in found for value in targets]
        gradients = [found[value] if value in found else back.zeros(value.type) for value in targets]
    graph.set_return([*outputs, *gradients], updated)
    return made


def _wanted_input(graph: Graph, position: int) -> Value:
    if not 0 <= position < len(graph.inputs):
        raise ArgumentError(f"differentiate: @{graph.name} has no input {position}")
    return _checked(graph.inputs[position])


def _wanted_state(graph: Graph, key: str) -> Value:
    if key not in graph.state:
        raise ArgumentError(f"differentiate: @{graph.name} has no state {key!r}")
    return _checked(graph.state[key])


def _checked(value: Value) -> Value:
    if not is_floating(value.type):
        raise GradientError(f"%{value.name} : {value.type} has no gradient", expected="a floating-point tensor")
    return value


def _seed_type(graph: Graph, type_: Type, back: Back) -> Type:
    """The type of an output's gradient. Sizes that only the graph itself finds out have names of their own."""
    assert isinstance(type_, TensorType)
    known = graph.sizes
    others = {str(v): v for v in size_variables(type_) if str(v) not in known}
    if not others:
        return type_
    return type_.with_(sizes=tuple(back.names.fresh("size") if _names(s) & others.keys() else s for s in type_.sizes))


def _names(size: Any) -> frozenset[str]:
    return free_vars(size) if isinstance(size, SizeExpr) else frozenset()
