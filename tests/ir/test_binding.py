"""Binding: what inputs give to size variables, and what is said of inputs that do not fit."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from ingot.ir.binding import SizeBinder, bind_sizes, python_size, solve_sizes
from ingot.ir.dtypes import float32, int64
from ingot.ir.errors import ArgumentError, DTypeError, ShapeError
from ingot.ir.graph import Assumption, Graph
from ingot.ir.locations import Location
from ingot.ir.sizes import SizeRelation, var
from ingot.ir.types import BOOL, FLOAT, INT, KEY, TensorType, Type

B, T, H = var("B", 1, 64), var("T"), var("H", 2)
KEY_ARRAY = np.zeros(2, np.uint64)


def graph_of(*types: Type) -> Graph:
    graph = Graph("f")
    for i, type_ in enumerate(types):
        graph.add_input(f"x{i}", type_)
    return graph


def f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_variables_are_bound_by_what_stands_alone_and_by_linear_sizes():
    graph = graph_of(TensorType(float32, (B, 3)), TensorType(float32, (2 * H + 1, B)))
    assert bind_sizes(graph, [f32(4, 3), f32(11, 4)]) == {"B": 4, "H": 5}


def test_a_size_in_two_unknowns_is_solved_once_one_is_known():
    graph = graph_of(TensorType(float32, (B * T,)), TensorType(float32, (B,)))
    assert bind_sizes(graph, [f32(12), f32(4)]) == {"B": 4, "T": 3}


def test_numbers_and_keys():
    graph = graph_of(INT, FLOAT, BOOL, KEY)
    assert bind_sizes(graph, [3, 0.5, True, KEY_ARRAY]) == {}
    assert bind_sizes(graph, [np.int64(3), 2, np.bool_(False), KEY_ARRAY]) == {}
    for wrong in ([True, 0.5, True], [3, "a", True], [3, 0.5, 1], [2.5, 0.5, True]):
        with pytest.raises(ArgumentError, match="input x"):
            bind_sizes(graph, [*wrong, KEY_ARRAY])
    with pytest.raises(ArgumentError, match="input x3 is not a key"):
        bind_sizes(graph, [3, 0.5, True, np.zeros(2, np.int64)])


def test_number_of_inputs():
    with pytest.raises(ArgumentError, match="@f takes 1 inputs, not 2"):
        bind_sizes(graph_of(INT), [1, 2])


def test_wrong_arrays_are_named():
    graph = graph_of(TensorType(float32, (B, 784)), TensorType(int64, (B,)))
    labels = np.zeros(4, np.int64)
    with pytest.raises(ShapeError, match="input x0 has 1 dimensions, not 2"):
        bind_sizes(graph, [f32(4), labels])
    with pytest.raises(DTypeError, match="input x0 is float64, not float32"):
        bind_sizes(graph, [np.zeros((4, 784)), labels])
    with pytest.raises(ShapeError, match="input x0 has another size at dimension 1") as caught:
        bind_sizes(graph, [f32(4, 783), labels])
    assert "expected  784, in f32[B, 784]" in str(caught.value) and "found     783" in str(caught.value)
    with pytest.raises(ShapeError, match="input x1 has another size at dimension 0") as caught:
        bind_sizes(graph, [f32(3, 784), labels])
    assert "B = 3 by input x0" in str(caught.value)
    with pytest.raises(ArgumentError, match="input x0 is of type list"):
        bind_sizes(graph, [[1.0], labels])


def test_a_linear_size_that_no_integer_fits():
    with pytest.raises(ShapeError, match="does not fit at dimension 0"):
        bind_sizes(graph_of(TensorType(float32, (2 * H + 1,))), [f32(10)])


@pytest.mark.parametrize("batch", [0, 65])
def test_bounds(batch):
    with pytest.raises(ShapeError, match="size B is out of its bounds") as caught:
        bind_sizes(graph_of(TensorType(float32, (B, 3))), [f32(batch, 3)])
    assert "B >= 1 and B <= 64" in str(caught.value) and f"B = {batch}" in str(caught.value)


def test_a_broken_assumption_names_the_line_that_made_it():
    graph = graph_of(TensorType(float32, (T, 3)))
    graph.assumptions.append(Assumption(SizeRelation(">", T, 1), Location("model.py", 20, 8)))
    assert bind_sizes(graph, [f32(2, 3)]) == {"T": 2}
    with pytest.raises(ShapeError, match=r"traced assuming T > 1 at model.py:20:8; got T = 1"):
        bind_sizes(graph, [f32(1, 3)])


def test_an_assumption_about_later_sizes_waits():
    graph = graph_of(TensorType(float32, (T,)))
    graph.assumptions.append(Assumption(SizeRelation(">", var("later"), 1)))
    assert bind_sizes(graph, [f32(2)]) == {"T": 2}


def test_variables_of_the_state():
    graph = graph_of(TensorType(float32, (3,)))
    graph.add_state("table", TensorType(float32, (T, 3)))
    assert bind_sizes(graph, [f32(3)], {"table": f32(7, 3)}) == {"T": 7}


def test_the_kept_checks_follow_the_graph():
    graph = graph_of(TensorType(float32, (T,)))
    assert bind_sizes(graph, [f32(2)]) == {"T": 2}
    graph.add_input("more", INT)
    assert bind_sizes(graph, [f32(2), 1]) == {"T": 2}
    gone = weakref.ref(graph)
    del graph
    gc.collect()
    assert gone() is None


def test_the_quick_checks_and_the_careful_ones_agree():
    graph = graph_of(TensorType(float32, (B, H)), TensorType(float32, (B * H, 2)), INT)
    graph.assumptions.append(Assumption(SizeRelation("==", H % 2, 0)))
    binder = SizeBinder(graph)
    for b in (0, 1, 3, 65):
        for h in (1, 2, 3, 4):
            for product in (b * h, b * h + 1):
                inputs = [f32(b, h), f32(product, 2), 5]
                quick = binder.quick(inputs)
                fits = 1 <= b <= 64 and h >= 2 and h % 2 == 0 and product == b * h
                assert quick == ({"B": b, "H": h} if fits else None)
                if not fits:
                    with pytest.raises(ShapeError):
                        binder(inputs)


def test_byte_order_is_part_of_a_dtype_but_its_spelling_is_not():
    graph = graph_of(TensorType(float32, (2,)))
    assert bind_sizes(graph, [np.zeros(2, np.dtype("=f4"))]) == {}
    with pytest.raises(DTypeError):
        bind_sizes(graph, [np.zeros(2, np.dtype(">f4"))])


def test_python_size_renames_variables_only():
    size = (H - 3) // 2 + T % 4
    assert eval(python_size(size, {"H": "s0", "T": "s1"}), {"s0": 28, "s1": 7}) == 12 + 3
    with pytest.raises(KeyError):
        python_size(size, {"H": "s0"})


def test_solve_sizes_leaves_what_it_cannot_tell():
    found: dict[str, int] = {}
    solve_sizes(TensorType(float32, (T * T, B)), (9, 2), found)
    assert found == {"B": 2}
