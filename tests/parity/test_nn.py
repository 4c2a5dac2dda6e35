"""Layers, losses and functions against PyTorch: results, gradients, buffers and texts."""

import ingot
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def _difference(a, b):
    """The largest difference, in units of the larger of 1 and the reference's largest element."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    if not a.size:
        return 0.0
    np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
    a, b = (np.where(np.isfinite(x), x, np.sign(np.nan_to_num(x))) for x in (a, b))
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def _both(array, requires_grad):
    ours, theirs = ingot.tensor(array), torch.tensor(array)
    if requires_grad and array.dtype.kind == "f":
        return ours.requires_grad_(), theirs.requires_grad_()
    return ours, theirs


# PyTorch has no gradients by the weights of losses.
_WITHOUT_WEIGHTS = ("nll_loss", "cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits")


def _compare(ours, theirs, inputs, rng, dtype, wanted=99):
    """Call both on the same inputs, and compare results and the gradients of the first floating-point inputs."""
    pairs = [_both(x.astype(dtype) if x.dtype == np.float64 else x, i < wanted) for i, x in enumerate(inputs)]
    results = ours(*[a for a, _ in pairs]), theirs(*[b for _, b in pairs])
    outputs = [x if isinstance(x, tuple) else (x,) for x in results]
    limit = TOLERANCE[dtype]
    for a, b in zip(*outputs, strict=True):
        assert str(a.dtype).split(".")[-1] == str(b.dtype).split(".")[-1]
        assert _difference(a.detach().numpy(), b.detach().numpy()) <= limit
    a, b = outputs[0][0], outputs[1][0]
    if not b.requires_grad:
        return
    seed = rng.standard_normal(tuple(b.shape)).astype(dtype)
    a.backward(ingot.tensor(seed))
    b.backward(torch.tensor(seed))
    for i, (x, y) in enumerate(pairs):
        if y.grad is not None:
            assert _difference(x.grad.numpy(), y.grad.numpy()) <= limit * 5, f"the gradient of input {i}"


def _normal(*sizes):
    return lambda rng: rng.standard_normal(sizes)


def _classes(count, *sizes):
    return lambda rng: rng.integers(0, count, sizes)


def _uniform(*sizes):
    return lambda rng: rng.random(sizes)


def _bools(*sizes):
    return lambda rng: rng.random(sizes) < 0.5


IMAGE = [_normal(2, 4, 7, 6)]
FUNCTIONS = [
    ("relu", [_normal(3, 4)], {}),
    ("relu6", [lambda rng: rng.standard_normal(20) * 5], {}),
    ("leaky_relu", [_normal(3, 4)], {"negative_slope": 0.2}),
    ("elu", [_normal(3, 4)], {"alpha": 0.7}),
    ("gelu", [_normal(3, 4)], {}),
    ("gelu", [_normal(3, 4)], {"approximate": "tanh"}),
    ("silu", [_normal(3, 4)], {}),
    ("sigmoid", [_normal(3, 4)], {}),
    ("logsigmoid", [lambda rng: rng.standard_normal(9) * 30], {}),
    ("tanh", [_normal(3, 4)], {}),
    ("softplus", [lambda rng: rng.standard_normal(30) * 10], {"beta": 2.0, "threshold": 5.0}),
    ("hardtanh", [_normal(3, 4)], {"min_val": -0.5, "max_val": 0.7}),
    ("hardswish", [lambda rng: rng.standard_normal(30) * 3], {}),
    ("softmax", [_normal(2, 5, 3)], {"dim": 1}),
    ("log_softmax", [_normal(2, 5)], {"dim": -1}),
    ("linear", [_normal(2, 3, 4), _normal(5, 4), _normal(5)], {}),
    ("linear", [_normal(4), _normal(5, 4)], {}),
    ("conv2d", [*IMAGE, _normal(6, 4, 3, 2), _normal(6)], {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    ("conv2d", [*IMAGE, _normal(6, 2, 3, 3)], {"groups": 2, "padding": "same"}),
    ("conv2d", [*IMAGE, _normal(6, 4, 2, 4), _normal(6)], {"padding": "same"}),
    ("conv2d", [_normal(4, 7, 6), _normal(6, 4, 3, 3), _normal(6)], {"padding": "valid"}),
    ("max_pool2d", IMAGE, {"kernel_size": 2}),
    ("max_pool2d", IMAGE, {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "ceil_mode": True}),
    ("max_pool2d", [_normal(4, 7, 6)], {"kernel_size": 2, "dilation": 2}),
    ("max_pool2d", IMAGE, {"kernel_size": 3, "padding": 1, "return_indices": True}),
    ("avg_pool2d", IMAGE, {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ("avg_pool2d", [_normal(4, 7, 6)], {"kernel_size": 2, "ceil_mode": True}),
    ("adaptive_avg_pool2d", IMAGE, {"output_size": 1}),
    ("adaptive_avg_pool2d", IMAGE, {"output_size": (3, None)}),
    ("adaptive_avg_pool2d", [_normal(4, 7, 6)], {"output_size": (5, 4)}),
    ("layer_norm", [_normal(2, 3, 4)], {"normalized_shape": (3, 4)}),
    ("group_norm", IMAGE, {"num_groups": 2}),
    ("normalize", [_normal(3, 4)], {}),
    ("normalize", [_normal(3, 4)], {"p": 3.0, "dim": 0}),
    ("normalize", [_normal(3, 4)], {"p": float("inf")}),
    ("normalize", [_normal(3, 4)], {"p": 1.0}),
    ("cosine_similarity", [_normal(3, 4), _normal(3, 4)], {}),
    ("one_hot", [_classes(5, 2, 3)], {"num_classes": 5}),
    ("one_hot", [_classes(5, 9)], {}),
    ("embedding", [_classes(5, 2, 3), _normal(5, 4)], {}),
    ("embedding", [_classes(5, 20), _normal(5, 4)], {"padding_idx": -2}),
    ("pad", [_normal(3, 4)], {"pad": (1, 2, 0, 1), "value": 3.5}),
    ("pad", [_normal(3, 4)], {"pad": (-1, 2)}),
    ("scaled_dot_product_attention", [_normal(2, 3, 5, 4), _normal(2, 3, 6, 4), _normal(2, 3, 6, 7)], {}),
    ("scaled_dot_product_attention", [_normal(2, 5, 4)] * 3, {"is_causal": True, "scale": 0.3}),
    ("scaled_dot_product_attention", [_normal(2, 5, 4)] * 3 + [_normal(5, 5)], {}),
    ("scaled_dot_product_attention", [_normal(2, 5, 4)] * 3 + [lambda rng: np.tri(5, dtype=bool)], {}),
    *[
        (name, [_normal(3, 4), _normal(3, 4)], {"reduction": reduction, **more})
        for name, more in (
            ("mse_loss", {}),
            ("l1_loss", {}),
            ("smooth_l1_loss", {"beta": 0.5}),
            ("huber_loss", {"delta": 0.7}),
        )
        for reduction in ("mean", "sum", "none")
    ],
    ("smooth_l1_loss", [_normal(3, 4), _normal(3, 4)], {"beta": 0.0}),
    *[
        ("cross_entropy", [_normal(6, 5), _classes(5, 6)], options)
        for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"ignore_index": 2}, {"label_smoothing": 0.2})
    ],
    ("cross_entropy", [_normal(6, 5), _classes(5, 6), _uniform(5)], {"label_smoothing": 0.1, "ignore_index": 1}),
    ("cross_entropy", [_normal(2, 5, 3, 2), _classes(5, 2, 3, 2)], {}),
    ("cross_entropy", [_normal(5), _classes(5)], {}),
    *[
        ("cross_entropy", [_normal(4, 5), lambda rng: rng.dirichlet(np.ones(5), 4), _uniform(5)], options)
        for options in ({}, {"reduction": "sum"}, {"reduction": "none", "label_smoothing": 0.3})
    ],
    ("cross_entropy", [_normal(5), lambda rng: rng.dirichlet(np.ones(5))], {}),
    ("cross_entropy", [_normal(2, 5, 3), lambda rng: rng.random((2, 5, 3))], {}),
    ("nll_loss", [_normal(6, 5), _classes(5, 6), _uniform(5)], {"ignore_index": 2}),
    ("nll_loss", [_normal(2, 5, 3), _classes(5, 2, 3)], {"reduction": "none"}),
    ("binary_cross_entropy_with_logits", [_normal(3, 4), _uniform(3, 4)], {}),
    ("binary_cross_entropy_with_logits", [_normal(3, 4), _uniform(3, 4), _normal(4)], {"reduction": "sum"}),
    ("binary_cross_entropy", [_uniform(3, 4), _uniform(3, 4), _normal(4)], {}),
]  # fmt: skip


def _name(case):
    return f"{case[0]}-{'-'.join(f'{k}={v}' for k, v in case[2].items())}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", FUNCTIONS, ids=_name)
def test_functions(case, dtype, rng):
    name, makers, options = case
    inputs = [np.asarray(make(rng)) for make in makers]
    ours, theirs = getattr(ingot.nn.functional, name), getattr(torch.nn.functional, name)
    wanted = 2 if name in _WITHOUT_WEIGHTS else 99
    _compare(lambda *x: ours(*x, **options), lambda *x: theirs(*x, **options), inputs, rng, dtype, wanted)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "silu", "hardtanh", "hardswish", "relu6"])
def test_inplace_activations(name, rng):
    x = rng.standard_normal((3, 4))
    found = []
    for library in (ingot, torch):
        leaf = library.tensor(x).requires_grad_()
        middle = leaf * 2
        y = getattr(library.nn.functional, name)(middle, inplace=True)
        assert y is middle
        y.sum().backward()
        found.append((y.detach().numpy(), leaf.grad.numpy()))
    for a, b in zip(*found, strict=True):
        assert _difference(a, b) <= 1e-12


LAYERS = [
    (lambda nn: nn.Linear(4, 3), [_normal(2, 4)]),
    (lambda nn: nn.Linear(4, 3, bias=False), [_normal(2, 5, 4)]),
    (lambda nn: nn.Conv2d(4, 6, 3, padding=1), IMAGE),
    (lambda nn: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding="valid", dilation=2, groups=2, bias=False), IMAGE),
    (lambda nn: nn.Conv2d(4, 6, 2, padding="same"), IMAGE),
    (lambda nn: nn.BatchNorm2d(4), IMAGE),
    (lambda nn: nn.BatchNorm2d(4, eps=1e-3, momentum=None), IMAGE),
    (lambda nn: nn.BatchNorm2d(4, momentum=0.7, affine=False), IMAGE),
    (lambda nn: nn.BatchNorm2d(4, track_running_stats=False), IMAGE),
    (lambda nn: nn.BatchNorm1d(4, bias=False), [_normal(6, 4)]),
    (lambda nn: nn.BatchNorm1d(4), [_normal(3, 4, 5)]),
    (lambda nn: nn.LayerNorm(6), IMAGE),
    (lambda nn: nn.LayerNorm((7, 6), eps=0.1, bias=False), IMAGE),
    (lambda nn: nn.LayerNorm(6, elementwise_affine=False), IMAGE),
    (lambda nn: nn.GroupNorm(2, 4), IMAGE),
    (lambda nn: nn.GroupNorm(4, 4, affine=False), IMAGE),
    (lambda nn: nn.MaxPool2d(2), IMAGE),
    (lambda nn: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), IMAGE),
    (lambda nn: nn.AvgPool2d(2, stride=1), IMAGE),
    (lambda nn: nn.AdaptiveAvgPool2d((2, None)), IMAGE),
    (lambda nn: nn.ReLU(), IMAGE),
    (lambda nn: nn.ReLU(inplace=True), [lambda rng: rng.integers(-3, 3, 5)]),
    (lambda nn: nn.ReLU6(), IMAGE),
    (lambda nn: nn.LeakyReLU(0.3), IMAGE),
    (lambda nn: nn.ELU(0.5), IMAGE),
    (lambda nn: nn.GELU(), IMAGE),
    (lambda nn: nn.GELU(approximate="tanh"), IMAGE),
    (lambda nn: nn.SiLU(), IMAGE),
    (lambda nn: nn.Sigmoid(), IMAGE),
    (lambda nn: nn.Tanh(), IMAGE),
    (lambda nn: nn.Softmax(dim=1), IMAGE),
    (lambda nn: nn.LogSoftmax(dim=-1), IMAGE),
    (lambda nn: nn.Softplus(2.0, 3.0), IMAGE),
    (lambda nn: nn.Hardtanh(-0.2, 0.3), IMAGE),
    (lambda nn: nn.Hardswish(), IMAGE),
    (lambda nn: nn.Identity(3, key="value"), IMAGE),
    (lambda nn: nn.Flatten(), IMAGE),
    (lambda nn: nn.Flatten(0, 1), IMAGE),
    (lambda nn: nn.Unflatten(1, (2, 2)), IMAGE),
    (lambda nn: nn.Dropout(0.0), IMAGE),
    (lambda nn: nn.Dropout2d(0.0), IMAGE),
    (lambda nn: nn.Embedding(5, 3), [_classes(5, 2, 4)]),
    (lambda nn: nn.Embedding(5, 3, padding_idx=-1), [_classes(5, 20)]),
    (lambda nn: nn.MSELoss(), [_normal(3, 4), _normal(3, 4)]),
    (lambda nn: nn.L1Loss(reduction="sum"), [_normal(3, 4), _normal(3, 4)]),
    (lambda nn: nn.SmoothL1Loss(beta=0.3), [_normal(3, 4), _normal(3, 4)]),
    (lambda nn: nn.HuberLoss(delta=0.3), [_normal(3, 4), _normal(3, 4)]),
    (lambda nn: nn.NLLLoss(ignore_index=1), [_normal(6, 4), _classes(4, 6)]),
    (lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1), [_normal(6, 4), _classes(4, 6)]),
    (lambda nn: nn.BCELoss(), [_uniform(9), _uniform(9)]),
    (lambda nn: nn.BCEWithLogitsLoss(reduction="none"), [_normal(9), _uniform(9)]),
    (lambda nn: nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2))), [_normal(3, 4)]),
]  # fmt: skip


def _twins(make, dtype):
    """A layer of each library with equal parameters and buffers."""
    theirs = make(torch.nn).to(getattr(torch, dtype))
    ours = make(ingot.nn).to(dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs


def _compare_state(ours, theirs, limit):
    for name, value in theirs.state_dict().items():
        assert _difference(ours.state_dict()[name].numpy(), value.numpy()) <= limit, name
    own = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        if parameter.grad is not None:
            assert _difference(own[name].grad.numpy(), parameter.grad.numpy()) <= limit * 5, f"the gradient of {name}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", range(len(LAYERS)), ids=lambda i: repr(LAYERS[i][0](torch.nn)).split("\n")[0])
def test_layers(number, dtype, rng):
    make, makers = LAYERS[number]
    ours, theirs = _twins(make, dtype)
    assert repr(ours) == repr(theirs)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        inputs = [np.asarray(draw(rng)) for draw in makers]
        _compare(ours, theirs, inputs, rng, dtype)
        _compare_state(ours, theirs, TOLERANCE[dtype])


def test_weights_of_losses_are_buffers(rng):
    weight = rng.random(4)
    ours, theirs = ingot.nn.CrossEntropyLoss(ingot.tensor(weight)), torch.nn.CrossEntropyLoss(torch.tensor(weight))
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
    _compare(ours, theirs, [rng.standard_normal((6, 4)), rng.integers(0, 4, 6)], rng, "float64")
    scale = rng.random(3)
    ours = ingot.nn.BCEWithLogitsLoss(pos_weight=ingot.tensor(scale))
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(scale))
    _compare(ours, theirs, [rng.standard_normal((6, 3)), rng.random((6, 3))], rng, "float64")


MASKS = [
    {},
    {"attn_mask": _bools(5, 6)},
    {"attn_mask": _normal(2 * 2, 5, 6)},
    {"key_padding_mask": _bools(2, 6)},
    {"key_padding_mask": _bools(2, 6), "attn_mask": _bools(5, 6)},
    {"average_attn_weights": False},
    {"need_weights": False, "key_padding_mask": _bools(2, 6)},
]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", MASKS, ids=lambda m: "-".join(m))
def test_multihead_attention(options, batch_first, rng):
    ours, theirs = _twins(lambda nn: nn.MultiheadAttention(8, 2, batch_first=batch_first), "float64")
    inputs = [rng.standard_normal((2, length, 8)) for length in (5, 6, 6)]
    if not batch_first:
        inputs = [x.swapaxes(0, 1).copy() for x in inputs]
    made = {key: value(rng) if callable(value) else value for key, value in options.items()}
    for mask in made.values():
        if isinstance(mask, np.ndarray) and mask.dtype == bool:
            mask[..., 0] = False  # every query has something to look at

    def call(layer, library):
        given = {k: library.tensor(v) if isinstance(v, np.ndarray) else v for k, v in made.items()}
        return lambda *x: tuple(y for y in layer(*x, **given) if y is not None)

    _compare(call(ours, ingot), call(theirs, torch), inputs, rng, "float64")
    _compare_state(ours, theirs, 1e-12)


def test_multihead_attention_without_a_batch(rng):
    ours, theirs = _twins(lambda nn: nn.MultiheadAttention(8, 2, bias=False), "float64")
    _compare(ours, theirs, [rng.standard_normal((n, 8)) for n in (5, 6, 6)], rng, "float64")


def test_texts_of_containers():
    def make(nn):
        layers = nn.ModuleList(
            [nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Tanh()), nn.Sequential(nn.Tanh())]
        )
        return nn.ModuleDict({"layers": layers, "empty": nn.Sequential(), "one": nn.ModuleList([nn.ReLU()])})

    assert repr(make(ingot.nn)) == repr(make(torch.nn))


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_clipping(norm_type, max_norm, rng):
    gradients = [rng.standard_normal(size) for size in ((3, 4), (5,), ())]
    found = []
    for library in (ingot, torch):
        parameters = [library.nn.Parameter(library.tensor(np.zeros(g.shape))) for g in gradients]
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = library.tensor(g)
        total = library.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
        library.nn.utils.clip_grad_value_(parameters, 0.5)
        found.append([total.numpy(), *[p.grad.numpy() for p in parameters]])
    for a, b in zip(*found, strict=True):
        assert _difference(a, b) <= 1e-12


@pytest.mark.parametrize("sizes", [(6, 4), (6, 4, 3, 2)])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kaiming_uniform_", {"a": 5**0.5}),
        ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}),
        ("kaiming_normal_", {"nonlinearity": "tanh"}),
        ("xavier_uniform_", {"gain": 2.0}),
        ("xavier_normal_", {}),
        ("trunc_normal_", {"mean": 1.0, "std": 2.0, "a": -1.0, "b": 1.5}),
        ("normal_", {"mean": 3.0, "std": 0.5}),
        ("uniform_", {"a": -3.0, "b": 1.0}),
        ("orthogonal_", {"gain": 3.0}),
    ],
)
def test_initial_values_have_pytorchs_moments(name, options, sizes):
    ingot.manual_seed(0)
    torch.manual_seed(0)
    found = []
    for library in (ingot, torch):
        draws = [getattr(library.nn.init, name)(library.empty(*sizes), **options).numpy() for _ in range(400)]
        found.append(np.concatenate([d.ravel() for d in draws]).astype(np.float64))
    ours, theirs = found
    error = 6 * theirs.std() / len(theirs) ** 0.5
    assert abs(ours.mean() - theirs.mean()) <= error
    assert abs(ours.std() - theirs.std()) <= error
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert abs(np.quantile(ours, share) - np.quantile(theirs, share)) <= 4 * error


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains(name):
    assert ingot.nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-12)


def test_dirac(rng):
    for sizes, groups in (((4, 2, 3, 3), 1), ((4, 2, 3, 3), 2), ((3, 5, 4), 1)):
        ours, theirs = (x.nn.init.dirac_(x.empty(*sizes), groups).numpy() for x in (ingot, torch))
        np.testing.assert_array_equal(ours, theirs)


def test_default_initial_values_have_pytorchs_bounds():
    for make in (lambda nn: nn.Linear(50, 200), lambda nn: nn.Conv2d(8, 64, 3, groups=2)):
        ours, theirs = make(ingot.nn), make(torch.nn)
        for name, value in theirs.state_dict().items():
            bound = float(value.abs().max())
            assert float(ours.state_dict()[name].abs().max()) == pytest.approx(bound, rel=0.1)
