"""Calls that are wrong: one clear error in the op's own parameter names, from type rule and kernel alike."""

import ingot.ir.ops  # noqa: F401
import numpy as np
import pytest
from ingot.ir.algebra import type_of
from ingot.ir.errors import ArgumentError, DTypeError, IndexOutOfRange, IngotError, ShapeError
from ingot.ir.registry import lookup


def f(*sizes):
    return np.ones(sizes, np.float32)


def d(*sizes):
    return np.ones(sizes, np.float64)


def i(*values):
    return np.array(values, np.int64)


WRONG = [
    ("add", [f(2, 3), f(4)], {}, ShapeError, "add: sizes do not broadcast"),
    ("add", [f(2, 3), f(2)], {}, ShapeError, "input: f32[2, 3]   other: f32[2]"),
    ("where", [f(2), f(2), f(2)], {}, DTypeError, "where: "),
    ("bitwise_and", [f(2), f(2)], {}, DTypeError, "bitwise_and: "),
    ("neg", [np.array([True])], {}, DTypeError, "neg is not defined for bool"),
    # views and movement
    ("reshape", [f(2, 3)], {"shape": (4,)}, ShapeError, "expected  a shape of 6 elements"),
    ("reshape", [f(2, 3)], {"shape": (-1, 4)}, ShapeError,
     "reshape: shape has another number of elements than input"),
    ("reshape", [f(2, 3)], {"shape": (-1, -1)}, ShapeError,
     "reshape: shape has more than one size to work out"),
    ("reshape", [f(0, 3)], {"shape": (-1, 0)}, ShapeError, "reshape: -1 can be any size"),
    ("permute", [f(2, 3)], {"dims": (0,)}, ShapeError, "permute: dims does not name every dimension"),
    ("permute", [f(2, 3)], {"dims": (0, 0)}, ShapeError, "permute: a dim is named twice"),
    ("permute", [f(2, 3)], {"dims": (0, 2)}, IndexOutOfRange, "permute: dim 2 is out of range"),
    ("expand", [f(2, 3)], {"size": (4, 3)}, ShapeError, "size[0] == input.size(0)"),
    ("expand", [f(2, 3)], {"size": (3,)}, ShapeError, "expand: size has fewer entries"),
    ("expand", [f(2)], {"size": (-1, 2)}, ShapeError, "expand: a new dimension needs a size"),
    ("slice", [f(4)], {"dim": 0, "step": 0}, ArgumentError, "slice: step is not positive"),
    ("slice", [f(4)], {"dim": 1}, IndexOutOfRange, "slice: dim 1 is out of range"),
    ("select", [f(4)], {"dim": 0, "index": 4}, IndexOutOfRange, "select: index 4 is out of range"),
    ("select", [f(4)], {"dim": 0, "index": -5}, IndexOutOfRange, "-4 <= index < 4"),
    ("squeeze", [f(1, 2)], {"dim": (2,)}, IndexOutOfRange, "squeeze: dim 2"),
    ("unsqueeze", [f(2)], {"dim": 3}, IndexOutOfRange, "unsqueeze: dim 3"),
    ("cat", [f(2, 3), f(2, 4)], {"dim": 0}, ShapeError, "tensors[1].size(1) == tensors[0].size(1)"),
    ("cat", [f(2, 3), f(3)], {"dim": 0}, ShapeError, "cat: tensors differ in their number of dimensions"),
    ("cat", [], {"dim": 0}, ArgumentError, "cat: tensors is empty"),
    ("stack", [f(2), f(3)], {"dim": 0}, ShapeError, "sizes differ"),
    ("pad", [f(2)], {"pad": (1,)}, ShapeError, "pad: pad does not hold two amounts a dimension"),
    ("pad", [f(2)], {"pad": (1, 1, 1, 1)}, ShapeError, "pad: pad does not hold two amounts a dimension"),
    ("pad", [f(2)], {"pad": (-2, -1)}, ShapeError, "pad: pad crops more than there is"),
    ("pad", [f(2)], {"pad": (1, 1), "mode": "reflect"}, ArgumentError, "pad: mode 'reflect'"),
    ("roll", [f(2)], {"shifts": (1, 2), "dims": (0,)}, ShapeError, "roll: shifts and dims differ in length"),
    ("repeat", [f(2, 3)], {"repeats": (2,)}, ShapeError, "repeat: repeats has fewer entries"),
    ("tril", [f(2)], {}, ShapeError, "tril: input is not a matrix"),
    ("slice_scatter", [f(4), f(3)], {"start": 1, "end": 3}, ShapeError, "slice_scatter: src does not fit"),
    ("select_scatter", [f(4, 2), f(3)], {"dim": 0, "index": 1}, ShapeError,
     "select_scatter: src does not fit"),
    # reductions and order
    ("sum", [f(2)], {"dim": (1,)}, IndexOutOfRange, "sum: dim 1 is out of range"),
    ("sum", [f(2, 2)], {"dim": (0, -2)}, ShapeError, "sum: a dim is named twice"),
    ("amax", [f(0)], {}, ShapeError, "amax: max over no elements"),
    ("argmin", [f(2, 0)], {"dim": 1}, ShapeError, "argmin: argmin over no elements"),
    ("mean", [i(1, 2)], {}, DTypeError, "mean: input is int64"),
    ("var", [i(1, 2)], {}, DTypeError, "var: input is int64"),
    ("cumsum", [f(2)], {"dim": 1}, IndexOutOfRange, "cumsum: dim 1"),
    ("sort", [f(2)], {"dim": 2}, IndexOutOfRange, "sort: dim 2"),
    ("topk", [f(2)], {"k": 3}, ShapeError, "topk: k is out of range"),
    # products
    ("matmul", [f(2, 3), f(4, 5)], {}, ShapeError, "input.size(-1) == other.size(-2)"),
    ("matmul", [f(3), f(4)], {}, ShapeError, "input.size(-1) == other.size(-1)"),
    ("matmul", [f(2, 2, 3), f(3, 3, 4)], {}, ShapeError, "matmul: batch sizes do not broadcast"),
    ("matmul", [f(), f(2)], {}, ShapeError, "matmul: an operand has no dimensions"),
    ("matmul", [f(2, 2), d(2, 2)], {}, DTypeError, "input: float32   other: float64"),
    ("bmm", [f(2, 2), f(2, 2)], {}, ShapeError, "bmm: input is not a batch of matrices"),
    ("linear", [f(2, 783), f(128, 784), f(128)], {}, ShapeError,
     "found     783 != 784   input: f32[2, 783]   weight: f32[128, 784]"),
    ("linear", [f(2, 3), f(4, 3), f(3)], {}, ShapeError, "bias.size(0) == weight.size(0)"),
    ("linear", [f(2, 3), f(4, 3), f(1)], {}, ShapeError, "bias.size(0) == weight.size(0)"),
    ("linear", [f(2, 3), f(3), None], {}, ShapeError, "linear: weight is not a matrix"),
    ("linear", [f(2, 3), d(4, 3), None], {}, DTypeError, "linear: operands differ in dtype"),
    ("conv2d", [f(1, 2, 4, 4), f(3, 1, 3, 3), None], {}, ShapeError,
     "input.size(1) == weight.size(1)*groups"),
    ("conv2d", [f(1, 2, 2, 4), f(3, 2, 3, 3), None], {}, ShapeError,
     "conv2d: the kernel is larger than the padded input in height"),
    ("conv2d", [f(2, 4, 4), f(3, 2, 3, 3), None], {}, ShapeError,
     "conv2d: input does not have four dimensions"),
    ("conv2d", [f(1, 2, 4, 4), f(3, 2, 3, 3), f(2)], {}, ShapeError, "bias.size(0) == weight.size(0)"),
    ("conv2d", [f(1, 2, 4, 4), f(3, 1, 3, 3), None], {"groups": 2}, ShapeError,
     "conv2d: groups does not divide"),
    ("conv2d", [f(1, 2, 4, 4), f(3, 2, 3, 3), None], {"stride": 0}, ArgumentError,
     "conv2d: an option is out of range"),
    ("max_pool2d", [f(1, 1, 2, 2)], {"kernel_size": 3}, ShapeError, "max_pool2d: kernel_size is larger"),
    ("max_pool2d", [f(1, 1, 4, 4)], {"kernel_size": 2, "padding": 2}, ArgumentError,
     "max_pool2d: padding is more than half"),
    ("avg_pool2d", [f(4, 4)], {"kernel_size": 2}, ShapeError, "avg_pool2d: input is not an image"),
    ("avg_pool2d", [np.ones((1, 1, 4, 4), np.int64)], {"kernel_size": 2}, DTypeError,
     "avg_pool2d: input is int64"),
    # indexing
    ("gather", [f(2, 3), i(0, 1)], {"dim": 0}, ShapeError,
     "gather: index and input differ in their number of dimensions"),
    ("gather", [f(2), f(2)], {"dim": 0}, DTypeError, "gather: index is float32"),
    ("gather", [f(3), i(0, 3)], {"dim": 0}, IndexOutOfRange,
     "gather: index 3 is out of range for a dimension of size 3"),
    ("gather", [f(3), i(-1)], {"dim": 0}, IndexOutOfRange, "gather: index -1 is out of range"),
    ("scatter", [f(3), i(0, 1), f(1)], {"dim": 0}, ShapeError, "scatter: src is smaller than index"),
    ("scatter_add", [f(3), i(5), f(1)], {"dim": 0}, IndexOutOfRange, "scatter_add: index 5"),
    ("index_select", [f(3), np.zeros((1, 1), np.int64)], {"dim": 0}, ShapeError,
     "index_select: index is not a vector"),
    ("index_select", [f(3), i(3)], {"dim": 0}, IndexOutOfRange, "index_select: index 3"),
    ("embedding", [i(4), f(4, 2)], {}, IndexOutOfRange,
     "embedding: index 4 is out of range for a dimension of size 4"),
    ("embedding", [i(-1), f(4, 2)], {}, IndexOutOfRange, "embedding: index -1"),
    ("embedding", [f(1), f(4, 2)], {}, DTypeError, "embedding: input is float32"),
    ("one_hot", [i(3)], {"num_classes": 3}, IndexOutOfRange, "one_hot: index 3"),
    ("one_hot", [f(3)], {"num_classes": 3}, DTypeError, "one_hot: input is float32"),
    ("index", [f(3), i(3)], {"dims": (0,)}, IndexOutOfRange, "index: "),
    ("index", [f(3, 3), i(0, 1), i(0, 1, 2)], {"dims": (0, 1)}, ShapeError,
     "index: indices do not broadcast"),
    ("index_put", [f(3), i(0, 1), f(3)], {"dims": (0,)}, ShapeError, "index_put: values do not broadcast"),
    # normalisation, losses, creation, random
    ("softmax", [i(1, 2)], {"dim": 0}, DTypeError, "softmax: input is int64"),
    ("softmax", [f(2)], {"dim": 1}, IndexOutOfRange, "softmax: dim 1"),
    ("layer_norm", [f(2, 3), f(2), None], {"normalized_shape": (3,)}, ShapeError,
     "layer_norm: weight does not have the sizes"),
    ("layer_norm", [f(2, 3), None, None], {"normalized_shape": (2,)}, ShapeError,
     "layer_norm: normalized_shape is not the end"),
    ("batch_norm_training", [f(2, 3), f(2), None], {}, ShapeError, "weight.size(0) == input.size(1)"),
    ("batch_norm_training", [f(0, 3), None, None], {}, ShapeError,
     "batch_norm_training: input has no elements"),
    ("batch_norm_inference", [f(2, 3), f(3), f(2), None, None], {}, ShapeError,
     "running_var.size(0) == input.size(1)"),
    ("group_norm", [f(2, 3), None, None], {"num_groups": 2}, ShapeError,
     "group_norm: num_groups does not divide"),
    ("mse_loss", [f(2), f(3)], {}, ShapeError, "mse_loss: input and target differ in their sizes"),
    ("mse_loss", [f(2), f(2)], {"reduction": "average"}, ArgumentError, "mse_loss: reduction is 'average'"),
    ("cross_entropy", [f(2, 3), i(0, 1, 2), None], {}, ShapeError,
     "cross_entropy: target does not fit input"),
    ("cross_entropy", [f(2, 3), i(0, 3), None], {}, IndexOutOfRange, "out of bounds"),
    ("cross_entropy", [f(2, 3), f(2), None], {}, DTypeError, "cross_entropy: target is float32"),
    ("cross_entropy", [f(2, 3), i(0, 1), f(2)], {}, ShapeError, "weight.size(0) == input.size(1)"),
    ("nll_loss", [f(2, 3), i(0, -2), None], {}, IndexOutOfRange, "-2 is out of range"),
    ("arange", [], {"start": 0, "end": 3, "step": 0, "dtype": "int64"}, ArgumentError, "arange: step is 0"),
    ("arange", [], {"start": 4, "end": 2, "step": 1, "dtype": "int64"}, ArgumentError,
     "arange: step leads away"),
    ("full", [], {"size": (-1,), "value": 0, "dtype": "int64"}, ShapeError, "full: size is negative"),
    ("dropout", [f(2), np.zeros(2, np.uint64)], {"p": 1.5}, ArgumentError, "dropout: p is not a probability"),
    ("dropout", [i(2), np.zeros(2, np.uint64)], {}, DTypeError, "dropout: input is int64"),
    ("randint", [np.zeros(2, np.uint64)], {"low": 2, "high": 2, "size": ()}, ArgumentError,
     "randint: the range is empty"),
    ("rand", [np.zeros(2, np.uint64)], {"size": (2,), "dtype": "int64"}, DTypeError, "rand: dtype is int64"),
]  # fmt: skip

# What only the elements can tell, the types cannot.
_BY_VALUE = ("gather", "scatter_add", "index_select", "embedding", "one_hot", "index", "cross_entropy", "nll_loss")


@pytest.mark.parametrize(
    ("name", "inputs", "attrs", "error", "message"), WRONG, ids=[f"{w[0]}-{n}" for n, w in enumerate(WRONG)]
)
def test_wrong_calls(name, inputs, attrs, error, message):
    op = lookup(name)
    full = op.schema.check_attrs(attrs)
    with pytest.raises(error) as caught:
        op.kernel(*inputs, **full)
    assert isinstance(caught.value, IngotError)
    assert message in str(caught.value), f"the kernel says:\n{caught.value}"
    if error is IndexOutOfRange and name in _BY_VALUE:
        return
    with pytest.raises(error) as caught:
        op.infer([type_of(x) for x in inputs], full)
    assert message in str(caught.value), f"the type rule says:\n{caught.value}"


def test_definitions_refuse_indices_outside_too():
    """The nests themselves, which other backends print, check what the quick kernels check."""
    for name, inputs, attrs in (
        ("gather", [f(3), i(0, 3)], {"dim": 0}),
        ("gather", [f(3), i(-1)], {"dim": 0}),
        ("embedding", [i(4), f(4, 2)], {}),
        ("one_hot", [i(3)], {"num_classes": 3}),
        ("scatter_add", [f(3), i(5), f(1)], {"dim": 0}),
        ("index", [f(3), i(-4)], {"dims": (0,)}),
    ):
        op = lookup(name)
        with pytest.raises(IndexOutOfRange):
            op.extras["reference"](*inputs, **op.schema.check_attrs(attrs))
