"""The corpus notices when capture breaks: each mutation takes one safeguard away, and a program of the corpus fails.

The check after a trace is off here, except where a mutation is about it, so that the corpus itself has to notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import capture_corpus
import pytest
from capture_checks import hold
from ingot.frontend import calling, inplace
from ingot.frontend.capture import branches, entry, trace
from ingot.frontend.capture.attributes import Attributes
from ingot.frontend.capture.carried_sharing import CarriedSharing
from ingot.frontend.capture.drawn import Drawn
from ingot.frontend.capture.inputs import InputRun
from ingot.frontend.capture.loop_changes import LoopChanges
from ingot.frontend.capture.python_state import PythonState
from ingot.frontend.capture.regions import Region, Regions
from ingot.frontend.capture.scalars import ScalarTracing
from ingot.frontend.capture.tracer import Tracer
from ingot.frontend.storage import Storage
from ingot.ir import binding
from ingot.ir.binding import SizeBinder
from ingot.ir.builder import Builder
from ingot.ir.graph import Graph

PROGRAMS = {program.name: program for program in capture_corpus.programs()}


def nothing(*args: Any, **kwargs: Any) -> None:
    """In place of a function that changes or refuses something."""


# ------------------------------------------------------------------------------------------------------ mutations


def _updates_without(*dropped: str) -> Callable[..., None]:
    """`Tracer.finish` that drops changes of the named state; of all where none is named."""
    finish = Tracer.finish

    def mutated(self: Tracer, outputs: Any) -> None:
        finish(self, outputs)
        kept = {key: value for key, value in self.graph.updates.items() if dropped and key not in dropped}
        self.graph.set_return(self.graph.outputs, kept)

    return mutated


def _without_changes(note: Callable[..., Any]) -> Callable[..., Any]:
    """What notes the effects of a block, blind for changes in place."""

    def mutated(self: Any, block: Any, region: Region, *rest: Any) -> Any:
        region.changed.clear()
        return note(self, block, region, *rest)

    return mutated


def _sides_exchanged() -> Callable[..., Any]:
    emit = Builder.emit

    def mutated(self: Builder, op: Any, *args: Any, **kwargs: Any) -> Any:
        if op == "prim::If":
            kwargs["blocks"] = kwargs["blocks"][::-1]
        return emit(self, op, *args, **kwargs)

    return mutated


def _binder_without_assumptions() -> Callable[..., None]:
    init = SizeBinder.__init__

    def mutated(self: SizeBinder, graph: Graph) -> None:
        kept, graph.assumptions = graph.assumptions, []
        try:
            init(self, graph)
        finally:
            graph.assumptions = kept

    return mutated


def _input_writes_allowed() -> Callable[..., None]:
    before_write = Tracer.before_write

    def mutated(self: Tracer, base: Any) -> None:
        self.may_write_inputs = True
        before_write(self, base)

    return mutated


Mutation = tuple[Any, str, Callable[[], Any]]

MUTATIONS: dict[str, tuple[Mutation, tuple[str, ...]]] = {
    # Functionalisation and state
    "a change of a view is not written into its base": (
        (inplace, "write_back", lambda: lambda base, chain, new: base),
        ("pain_03_in_place.a_column_assigned",),
    ),
    "views are not derived anew after a change": (
        (Storage, "aliases", lambda: property(lambda self: [])),
        ("pain_03_in_place.a_change_of_the_base_seen_in_views_made_before",),
    ),
    "a changed tensor does not stand for its new value": (
        (Tracer, "adopt", lambda: nothing),
        ("pain_03_in_place.an_output_filled_by_a_python_loop",),
    ),
    "changes of state are dropped": (
        (Tracer, "finish", _updates_without),
        ("pain_03_in_place.ChangesOfBuffersThroughViews",),
    ),
    "the random state is not moved on": (
        (Tracer, "finish", lambda: _updates_without("rng")),
        ("pain_07_random.noise_in_each_call",),
    ),
    "an attribute that gets another tensor is not noticed": (
        (Attributes, "replaced", lambda: lambda self: iter(())),
        ("pain_05_state.ABufferThatIsReplaced",),
    ),
    "what the capture changed in the user's tensors is not put back": (
        (Tracer, "restore", lambda: nothing),
        ("pain_03_in_place.ChangesOfBuffersThroughViews",),
    ),
    "what the capture replaced in the user's objects is not put back": (
        (Attributes, "restore", lambda: nothing),
        ("pain_05_state.ABufferThatIsReplaced",),
    ),
    "sizes that vary are those of the example": (
        (Tracer, "shape_of", lambda: lambda self, tensor: tensor._array.shape),
        ("pain_02_sizes.flattened_by_the_batch_size",),
    ),
    # Branches and loops
    "a branch takes the other side": (
        (Builder, "emit", _sides_exchanged),
        ("pain_01_control_flow.scripted_branch_on_the_sum",),
    ),
    "a loop does not carry what it changes in place": (
        (LoopChanges, "_note_contents", lambda: nothing),
        ("pain_03_in_place.a_change_in_a_loop",),
    ),
    "a branch does not hand on what it changes in place": (
        (branches._Branch, "_note", lambda: _without_changes(branches._Branch._note)),
        ("pain_03_in_place.a_change_in_a_branch", "pain_05_state.ABufferChangedOnOneSideOfABranch"),
    ),
    "memory may be exchanged in a branch": (
        (Regions, "before_rebind", lambda: nothing),
        ("pain_03_in_place.memory_exchanged_in_a_branch_under_a_view",),
    ),
    "a change is not seen in what perhaps shares the memory": (
        (Regions, "lose", lambda: nothing),
        (
            "pain_08_aliasing.memory_that_a_branch_shares_and_somebody_reads",
            "pain_08_aliasing.memory_that_iterations_share",
        ),
    ),
    "what iterations share is not known to the body": (
        (CarriedSharing, "enter", lambda: nothing),
        ("pain_08_aliasing.memory_that_iterations_share",),
    ),
    "an assertion is dropped": (
        (ScalarTracing, "require", lambda: nothing),
        ("pain_01_control_flow.scripted_assertion_on_values",),
    ),
    # Guards
    "assumptions are not recorded": (
        (ScalarTracing, "_assume", lambda: lambda self, relation: self.sizes.add(relation)),
        ("pain_01_control_flow.branch_on_a_size_that_calls_must_keep_to",),
    ),
    "assumptions are not checked at a call": (
        (SizeBinder, "__init__", _binder_without_assumptions),
        ("pain_01_control_flow.branch_on_a_size_that_calls_must_keep_to",),
    ),
    "bounds are not checked at a call": (
        (binding, "bounds", lambda: lambda size: (None, None)),
        ("pain_02_sizes.positions_looked_up_in_a_table",),
    ),
    "dtypes are not checked at a call": (
        (SizeBinder, "_check_kind", lambda: nothing),
        ("pain_01_control_flow.branch_on_a_dtype",),
    ),
    "constants among the arguments are not compared": (
        (calling, "_same_constant", lambda: lambda captured, value: True),
        ("pain_01_control_flow.branch_on_a_python_flag",),
    ),
    "arguments that share memory are let in": (
        (calling.Caller, "_check_memory", lambda: nothing),
        ("pain_04_arguments.two_arguments_of_which_one_is_changed",),
    ),
    # Refusals and the ledger
    "a tensor's truth is that of the example": (
        (ScalarTracing, "refuse_branch", lambda: nothing),
        ("pain_01_control_flow.branch_on_the_sum",),
    ),
    "numpy() and int() give the example's values": (
        (ScalarTracing, "leaves_graph", lambda: nothing),
        ("pain_03_in_place.a_numpy_array_filled", "pain_03_in_place.the_largest_element_cleared"),
    ),
    "item() gives the example's value": (
        (ScalarTracing, "item", lambda: lambda self, tensor: tensor._array.item()),
        ("pain_01_control_flow.an_element_chosen_by_data",),
    ),
    "a refusal that the user's code catches is forgotten": (
        (ScalarTracing, "refuse_caught", lambda: nothing),
        ("pain_01_control_flow.a_branch_whose_refusal_is_caught",),
    ),
    "a size that is fixed is not refused": (
        (entry, "refuse_specialised", lambda: nothing),
        ("pain_02_sizes.a_size_made_an_int",),
    ),
    "random numbers of Python's are not noticed": (
        (Drawn, "changed", lambda: lambda self: iter(())),
        ("pain_07_random.pythons_random_numbers",),
    ),
    "changes of arguments are not refused": (
        (Tracer, "before_write", _input_writes_allowed),
        ("pain_04_arguments.added_to_in_place",),
    ),
    "arguments that grow are not noticed": (
        (InputRun, "changed_containers", lambda: lambda self, tracer, mutates: ({}, [])),
        ("pain_04_arguments.a_list_appended_to", "pain_04_arguments.a_list_appended_to_and_written_back"),
    ),
    "gradients on arguments are not noticed": (
        (InputRun, "_refuse_gradients", lambda: nothing),
        ("pain_04_arguments.a_gradient_left_on_the_argument",),
    ),
    "a reshape that may copy is changed in place": (
        (Tracer, "_refuse_uncertain_alias", lambda: nothing),
        ("pain_03_in_place.a_reshape_that_shares_at_some_sizes",),
    ),
    "the ledger does not keep what was frozen": (
        (Tracer, "note", lambda: nothing),
        ("pain_01_control_flow.a_branch_frozen_on_purpose",),
    ),
    "what the check finds is not reported": (
        (trace, "report", lambda: nothing),
        ("pain_05_state.a_history_that_grows",),
    ),
    "names that come to stand for one tensor are not noticed": (
        (Tracer, "refuse_joined", lambda: nothing),
        ("pain_05_state.TwoNamesThatBecomeOne",),
    ),
    "numbers that a call reads and changes are not noticed": (
        (PythonState, "refuse_changed", lambda: nothing),
        ("pain_01_control_flow.BranchOnTheFirstCall", "pain_05_state.ACounterInPython"),
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_program_of_the_corpus_notices(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place, attribute, mutated), programs = MUTATIONS[name]
    assert hasattr(place, attribute)
    for program in programs:
        _hold(program, tmp_path)
    monkeypatch.setattr(place, attribute, mutated())
    for program in programs:
        with pytest.raises(AssertionError):
            _hold(program, tmp_path)


def _hold(name: str, folder: Path) -> None:
    program = PROGRAMS[name]
    if program.kind != "checked":
        program = replace(program, options={**program.options, "check": False})
    hold(program, folder)
