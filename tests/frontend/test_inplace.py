"""Views share memory, in-place operations change it, and gradients follow both."""

import ingot
import numpy as np
import pytest
from ingot.ir.errors import DTypeError, GradientError, IngotError


def test_views_share_memory_both_ways():
    x = ingot.zeros(3, 4)
    row = x[1]
    row.add_(1)
    assert x[1].tolist() == [1.0] * 4
    x.mul_(3)
    assert row.tolist() == [3.0] * 4
    x.reshape(-1)[0] = 7
    x.permute(1, 0)[1, 0] = 8
    assert x[0].tolist() == [7.0, 8.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(1, None), (slice(None), 2), (..., 0), (None, 1), (0, slice(None, None, 2)), (1, 2)],
)
def test_reading_and_writing_by_index_agree_with_numpy(index):
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    x = ingot.tensor(a)
    assert x[index].tolist() == a[index].tolist()
    x[index] = -1.0
    a[index] = -1.0
    assert x.tolist() == a.tolist()


@pytest.mark.parametrize("index", [([0, 2],), ([0, 2], [1, 3]), (slice(None), [3, 0])])
def test_index_tensors_agree_with_numpy(index):
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    x = ingot.tensor(a)
    assert x[index].tolist() == a[index].tolist()
    x[index] = 5.0
    a[index] = 5.0
    assert x.tolist() == a.tolist()


def test_boolean_mask_reads_and_writes():
    a = np.arange(6, dtype=np.float32)
    x = ingot.tensor(a)
    assert x[x > 2].tolist() == [3.0, 4.0, 5.0]
    x[x > 2] = 0.0
    assert x.tolist() == [0.0, 1.0, 2.0, 0.0, 0.0, 0.0]


def test_gradient_through_an_in_place_change_of_a_view():
    w = ingot.ones(4, requires_grad=True)
    z = w * 2
    z[1:3].mul_(5)
    (z * ingot.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert w.grad.tolist() == [2.0, 20.0, 30.0, 8.0]


def test_gradient_flows_into_what_is_written():
    w = ingot.tensor([2.0], requires_grad=True)
    z = ingot.zeros(3)
    z[1] = w[0] * 3
    z.sum().backward()
    assert w.grad.tolist() == [3.0]


def test_a_view_made_before_the_change_follows_its_base():
    w = ingot.ones(3, requires_grad=True)
    z = w * 1
    tail = z[1:]
    z.mul_(4)
    tail.sum().backward()
    assert w.grad.tolist() == [0.0, 4.0, 4.0]


def test_a_leaf_is_not_changed_in_place_unless_recording_is_off():
    w = ingot.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="leaf"):
        w.add_(1)
    with ingot.no_grad():
        w.add_(1)
    assert w.tolist() == [2.0, 2.0]
    assert w.requires_grad


def test_a_result_of_a_higher_kind_does_not_fit():
    x = ingot.tensor([1, 2])
    with pytest.raises(DTypeError, match="int64"):
        x.mul_(0.5)
    assert x.tolist() == [1, 2]


def test_an_expanded_view_is_not_written():
    x = ingot.ones(1, 3).expand(2, 3)
    with pytest.raises(IngotError, match="share memory"):
        x.add_(1)


def test_augmented_assignment_is_in_place():
    x = ingot.ones(2)
    same = x
    x += 1
    x *= 3
    x -= 1
    x /= 5
    assert same is x
    assert x.tolist() == [1.0, 1.0]


def test_overlapping_copy():
    x = ingot.arange(5).float()
    x[1:].copy_(x[:-1])
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]


def test_wrong_sizes_change_nothing():
    x = ingot.ones(3)
    with pytest.raises(IngotError):
        x.add_(ingot.ones(4))
    with pytest.raises(IngotError):
        x.copy_(ingot.ones(2, 3))
    assert x.tolist() == [1.0] * 3


def test_many_views_of_one_tensor_are_forgotten():
    x = ingot.zeros(4)
    for _ in range(1000):
        x[1]
    assert len(x._storage._views) < 100


def test_a_detached_view_is_changed_without_a_word_of_the_gradient():
    w = ingot.ones(3, requires_grad=True)
    w.data.add_(1)
    w.detach()[0] = 7.0
    assert w.tolist() == [7.0, 2.0, 2.0]
    assert w.is_leaf
    y = w * 1
    y.detach().mul_(2)
    assert y.tolist() == [14.0, 4.0, 4.0]
    y.sum().backward()
    assert w.grad.tolist() == [1.0] * 3


def test_a_capture_follows_writes_through_detached_views():
    w = ingot.ones(2, requires_grad=True)
    outside = w.detach()

    def f(x):
        w.data.add_(x)
        outside[0] += 1
        return w.detach() * 1

    program = ingot.jit.trace(f, ingot.ones(2))
    assert w.tolist() == [1.0, 1.0]
    assert program(ingot.ones(2)).tolist() == [3.0, 2.0]
    assert program(ingot.ones(2)).tolist() == [5.0, 3.0]


def test_out_takes_the_result_in_place():
    x, y = ingot.tensor([1.0, 2.0, 3.0]), ingot.zeros(3)
    assert ingot.add(x, x, out=y) is y and y.tolist() == [2.0, 4.0, 6.0]
    whole = ingot.zeros(4)
    ingot.mul(x, 2, out=whole[1:])
    assert whole.tolist() == [0.0, 2.0, 4.0, 6.0]
    empty = ingot.empty(0)
    assert ingot.cat([x, x], out=empty) is empty and empty.shape == (6,)
    values, places = ingot.empty(2), ingot.empty(2, dtype=ingot.int64)
    assert ingot.topk(x, 2, out=(values, places))[0] is values and places.tolist() == [2, 1]
    assert ingot.clamp(x, max=2.0, out=y).tolist() == [1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (lambda: ingot.zeros(2), "ShapeError"),
        (lambda: ingot.zeros(3, dtype=ingot.int64), "DTypeError"),
        (lambda: np.zeros(3), "ArgumentError"),
        (lambda: ingot.zeros(3, requires_grad=True), "GradientError"),
    ],
)
def test_out_that_does_not_fit_is_refused(out, error):
    with pytest.raises(IngotError) as found:
        ingot.exp(ingot.ones(3), out=out())
    assert type(found.value).__name__ == error and found.value.what.startswith("exp: ")


def test_out_is_captured():
    def program(x):
        found = ingot.zeros(4)
        ingot.add(x, 1, out=found[:3])
        return found

    traced = ingot.jit.trace(program, ingot.ones(3))
    x = ingot.tensor([5.0, -1.0, 2.0])
    assert traced(x).tolist() == program(x).tolist()
