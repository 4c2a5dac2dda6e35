"""Tensors as PyTorch's users know them: creation, dtypes, promotion, display, errors."""

import copy
import pickle

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, DTypeError, IndexOutOfRange, IngotError, ShapeError


def test_creation_takes_the_expected_dtype():
    assert ingot.tensor([1, 2]).dtype is ingot.int64
    assert ingot.tensor([1.0]).dtype is ingot.float32
    assert ingot.tensor([True]).dtype is ingot.bool
    assert ingot.tensor(np.zeros(1)).dtype is ingot.float64
    assert ingot.tensor([1], dtype="float16").dtype is ingot.float16
    assert ingot.arange(0, 1, 0.25).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert ingot.full((2,), True).dtype is ingot.bool
    assert ingot.zeros((2, 3)).shape == (2, 3)


def test_tensor_copies_and_from_numpy_shares():
    a = np.zeros(2, np.float32)
    copied, shared = ingot.tensor(a), ingot.from_numpy(a)
    a[0] = 1
    assert copied[0].item() == 0.0
    assert shared[0].item() == 1.0


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (ingot.ones(2, dtype=ingot.int32), 1.5, ingot.float32),
        (ingot.ones(2, dtype=ingot.float16), ingot.ones(2, dtype=ingot.int64), ingot.float16),
        (ingot.ones(2), ingot.ones((), dtype=ingot.float64), ingot.float32),
        (ingot.ones((), dtype=ingot.float64), ingot.ones(2, dtype=ingot.int32), ingot.float64),
        (ingot.ones(2, dtype=ingot.uint8), ingot.ones(2, dtype=ingot.int8), ingot.int16),
        (ingot.ones(2, dtype=ingot.bool), 2, ingot.int64),
        (ingot.ones(2, dtype=ingot.bfloat16), 2.0, ingot.bfloat16),
        (ingot.ones(2, dtype=ingot.bfloat16), ingot.ones(2, dtype=ingot.float16), ingot.float32),
    ],
)
def test_promotion(left, right, expected):
    assert (left * right).dtype is expected


def test_true_division_of_integers_is_floating():
    assert (ingot.tensor([3]) / ingot.tensor([2])).tolist() == [1.5]
    assert (ingot.tensor([-3]) // 2).tolist() == [-2]
    assert (ingot.tensor([-3]) % 2).tolist() == [1]


def test_numpy_arrays_and_scalars_are_operands():
    x = ingot.ones(2)
    assert (x + np.ones(2, np.float32)).tolist() == [2.0, 2.0]
    assert (np.float32(2) * x).tolist() == [2.0, 2.0]
    assert (x * np.float64(2)).dtype == (np.sqrt(4.0) + x).dtype == ingot.float32
    assert isinstance(np.ones(2, np.float32) + x, ingot.Tensor)


def test_reductions_and_overloads():
    x = ingot.tensor([[1.0, 5.0], [4.0, 2.0]])
    values, places = x.max(dim=1)
    assert values.tolist() == [5.0, 4.0]
    assert places.tolist() == [1, 0]
    assert x.max().item() == 5.0
    assert ingot.max(x, ingot.full((2, 2), 3.0)).tolist() == [[3.0, 5.0], [4.0, 3.0]]
    assert x.sum(dim=0, keepdim=True).tolist() == [[5.0, 7.0]]
    assert ingot.add(x, x, alpha=2).tolist() == [[3.0, 15.0], [12.0, 6.0]]


def test_shapes():
    x = ingot.arange(24).reshape(2, 3, 4)
    assert x.flatten(1).shape == (2, 12)
    assert x.transpose(0, 2).shape == (4, 3, 2)
    assert [p.shape[1] for p in x.split(2, dim=1)] == [2, 1]
    assert x.view(6, -1).shape == (6, 4)
    assert x.T.shape == (4, 3, 2)
    assert x.size(-1) == 4
    assert x.shape.numel() == 24
    with pytest.raises(ArgumentError, match="view"):
        x.transpose(0, 1).view(-1)


def test_display():
    assert repr(ingot.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert "dtype=float64" in repr(ingot.zeros(1, dtype=ingot.float64))
    assert f"{ingot.tensor(1.25):.1f}" == "1.2"


def test_leaving_to_python():
    x = ingot.tensor([[1, 2]])
    assert x.tolist() == [[1, 2]]
    assert x.numpy().dtype == np.int64
    assert np.asarray(x).shape == (1, 2)
    assert float(ingot.tensor(2.5)) == 2.5
    assert list(range(int(ingot.tensor(3)))) == [0, 1, 2]
    with pytest.raises(ArgumentError, match="item"):
        x.item()
    with pytest.raises(ArgumentError, match="ambiguous"):
        bool(x)


def test_copies():
    x = ingot.ones(2, requires_grad=True)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.requires_grad
        assert other.tolist() == x.tolist()
        assert not np.may_share_memory(other._array, x._array)


def test_errors_name_the_users_line(tmp_path):
    with pytest.raises(ShapeError) as caught:
        ingot.ones(3) + ingot.ones(4)
    text = str(caught.value)
    assert "add: sizes do not broadcast" in text
    assert "3 != 4" in text
    assert "test_tensor.py" in text
    assert "^" in text


def test_wrong_arguments():
    with pytest.raises(TypeError, match="dims"):
        ingot.softmax(ingot.ones(2), dims=1)
    with pytest.raises(IndexOutOfRange):
        ingot.ones(2)[5]
    with pytest.raises(IndexOutOfRange):
        ingot.ones(2).sum(dim=3)
    with pytest.raises(DTypeError, match="operand"):
        ingot.ones(2) + "1"
    with pytest.raises(DTypeError):
        ingot.tensor(["a"])
    with pytest.raises(ShapeError, match="lengths"):
        ingot.tensor([[1], [1, 2]])
    with pytest.raises(AttributeError, match="no_such_thing"):
        getattr(ingot, "no_such_thing")  # noqa: B009


def test_random_numbers_depend_on_the_seed_alone():
    ingot.manual_seed(7)
    first = [ingot.rand(3).tolist(), ingot.randn(2).tolist(), ingot.randint(0, 10, (4,)).tolist()]
    ingot.manual_seed(7)
    assert first == [ingot.rand(3).tolist(), ingot.randn(2).tolist(), ingot.randint(0, 10, (4,)).tolist()]
    state = ingot.get_rng_state()
    again = ingot.rand(3).tolist()
    ingot.set_rng_state(state)
    assert ingot.rand(3).tolist() == again
    own = ingot.Generator().manual_seed(1)
    assert sorted(ingot.randperm(5, generator=own).tolist()) == [0, 1, 2, 3, 4]


def test_floating_point_warnings_stay_quiet():
    x = ingot.tensor([0.0, -1.0])
    assert np.isnan((x / x)[0].item())
    assert x.log()[0].item() == -np.inf
    assert ingot.tensor([1e30]).square().item() == np.inf


def test_operators_at_work_from_several_threads():
    import threading

    failures = []

    def work():
        try:
            with ingot.no_grad():
                x = ingot.ones(100, requires_grad=True)
                assert not (x * 2).requires_grad
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert ingot.autograd.is_grad_enabled()


def test_devices():
    x = ingot.ones(2, device="cpu")
    assert x.device == "cpu"
    assert x.device.type == "cpu"
    assert x.to(ingot.device("cpu")) is x
    assert x.to("cpu", ingot.float64).dtype is ingot.float64
    with pytest.raises(ArgumentError, match="no device 'tpu'"):
        ingot.ones(2, device="tpu")
    if not ingot.cuda.is_available():
        with pytest.raises(IngotError, match="CuPy and a driver are needed"):
            x.cuda()


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x.transpose(0, 5),
        lambda x: x.unbind(3),
        lambda x: x.flatten(5),
        lambda x: x.chunk(2, 4),
        lambda x: x.split(0),
        lambda x: x + None,
        lambda x: x.to("mars"),
        lambda x: ingot.full((2,), "a"),
        lambda x: x[::-1],
    ],
)
def test_mistakes_name_the_users_line(mistake):
    from ingot.ir.errors import IngotError

    with pytest.raises(IngotError, match=r"test_tensor.py"):
        mistake(ingot.ones(2, 3))
    with pytest.raises(IngotError, match=r"test_tensor.py"):
        ingot.jit.trace(mistake, ingot.ones(2, 3))
