"""The pass manager: runs a pipeline of passes over a graph, under the eyes of instruments.

Which passes there are is in `registered`, pipelines and their text in `pipeline`, what watches in `instruments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from ..ir.asserted import asserted_relations
from ..ir.errors import IngotError, ShapeError
from ..ir.gc_pause import paused_gc
from ..ir.graph import Graph
from ..ir.sizes import SizeContext, use_context
from .instruments import Instrument, Reproducer, from_environment, watching
from .pipeline import Pipeline, Stage, parse_pipeline
from .registered import register_pass

__all__ = ["assumed", "register_pass", "run_pipeline"]


def run_pipeline(graph: Graph, pipeline: str | Pipeline, instruments: Sequence[Instrument] | None = None) -> bool:
    """Run passes over a graph, which they change in place.

    Args:
        pipeline: its text, such as `"canonicalize,cse,fuse{max_inputs=16},dce"`, or as parsed.
        instruments: what watches; None takes those that the variable `INGOT_DEBUG` asks for.

    Returns:
        Whether any pass changed the graph.

    Raises:
        ParseError: when the text names a pass or an option that does not exist.

    >>> from ingot.ir.parser import parse
    >>> graph = parse("graph @f(%x : f32[2]) -> (f32[2]):\\n  %y : f32[2] = ingot::exp(%x)\\n  return (%x)\\n")
    >>> run_pipeline(graph, "dce"), graph.node_count
    (True, 0)
    """
    stages = parse_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    watchers = from_environment() if instruments is None else list(instruments)
    changed = False
    with paused_gc(), watching(watchers):
        for watcher in watchers:
            watcher.begin(graph, stages)
        for index, stage in enumerate(stages):
            answers = [watcher.may_run(stage) for watcher in watchers]  # all of them count passes
            if all(answers):
                changed |= _run_stage(graph, stages.starting_at(index), watchers)
        for watcher in watchers:
            watcher.end(graph)
    return changed


def _run_stage(graph: Graph, rest: Pipeline, watchers: Sequence[Instrument]) -> bool:
    """Run the first pass of a pipeline."""
    stage = rest.stages[0]
    for watcher in watchers:
        watcher.before(graph, rest)
    try:
        with assumed(graph):
            changed = bool(stage.pass_.run(graph, stage.options))
        for watcher in watchers:
            watcher.after(graph, stage, changed)
    except Exception as error:
        _say_where(error, stage, graph, watchers)
        for watcher in watchers:
            watcher.failed(graph, stage, error)
        raise
    return changed


def _say_where(error: Exception, stage: Stage, graph: Graph, watchers: Sequence[Instrument]) -> None:
    where = f"in pass {stage} on @{graph.name}"
    if isinstance(error, IngotError):
        error.context = f"{error.context}, {where}" if error.context else where
    else:
        error.add_note(where)
        if not any(isinstance(watcher, Reproducer) for watcher in watchers):
            error.add_note("set INGOT_DEBUG=repro=DIR to get a file that makes it fail again")


def assumed(graph: Graph) -> AbstractContextManager[Any]:
    """The context in which type rules take what the graph assumes and asserts about sizes to hold."""
    relations = [assumption.relation for assumption in graph.assumptions]
    asserted = [relation for relation in asserted_relations(graph) if relation not in relations]
    if not relations and not asserted:
        return nullcontext()
    context = SizeContext(relations)
    for relation in asserted:
        with suppress(ShapeError):  # an assertion that always fails
            context.add(relation)
    return use_context(context)
