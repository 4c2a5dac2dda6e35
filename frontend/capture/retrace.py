"""What a check needs of a capture that is done: the function called again, eagerly or under another tracer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.program import ProgramRecord
from ...ir.types import ScalarType, TensorType
from .recorder import Recorder
from .subject import Recorded, Subject
from .surroundings import Surroundings
from .tracer import Tracer
from .trial_inputs import limits_of

__all__ = ["subject_of"]


def subject_of(
    tracer: Tracer,
    record: ProgramRecord,
    surroundings: Surroundings,
    call: Callable[[Sequence[Any]], Any],
    capture: Callable[[Tracer, Sequence[Any]], Any],
    with_gradient: Sequence[int] = (),
) -> Subject:
    """What is to be checked of a capture.

    Args:
        tracer: what made it.
        record: the program.
        surroundings: what the function reaches, as it was before.
        call: runs the function on one tensor or number for each of the graph's inputs.
        capture: runs it under a tracer, closes its graph, and undoes what the run did.
        with_gradient: the inputs that require a gradient, by number.
    """
    graph = tracer.graph
    tensors = {key: tensor for key, (tensor, _) in tracer.state.items()}
    surroundings.follow(tensors.values(), tracer.gradients.owners())
    (example,) = (e for e in record.examples if e.entry == graph.name)
    examples = [
        x.item() if isinstance(value.type, ScalarType) and isinstance(x, (np.ndarray, np.generic)) else x
        for value, x in zip(graph.inputs, example.inputs, strict=True)
    ]

    def again(arrays: Sequence[Any], sizes: Mapping[str, int], same: tuple[int, int] | None) -> Recorded:
        now = [(key, surroundings.current(tensor)) for key, tensor in tensors.items()]
        known = {id(tensor): (key, tensor) for key, tensor in now if tensor is not None}
        recorder = Recorder(graph.name, {**tracer.names, **known})
        recorder.name_modules(tracer._paths)
        recorder.frozen_ok = tracer.frozen_ok
        recorder.set_hints(sizes)
        leaves = [
            recorder.add_input(value.name, x, value.type.sizes)
            if isinstance(value.type, TensorType)
            else recorder.add_scalar(value.name, x, *limits_of(value))
            for value, x in zip(graph.inputs, arrays, strict=True)
        ]
        if same is not None:
            leaves[same[1]] = leaves[same[0]]
        capture(recorder, leaves)
        return Recorded(recorder.graph, recorder.values)

    return Subject(
        graph=graph,
        signature=record.signatures[graph.name],
        state={key: record.state[key] for key in graph.state},
        examples=examples,
        call=call,
        record=again,
        surroundings=surroundings,
        tensors=tensors,
        ledger=tuple(record.ledger),
        with_gradient=tuple(with_gradient),
    )
