"""Layers: what they compute, keep and refuse. `tests/parity` compares them with PyTorch."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, IndexOutOfRange, ShapeError, UnsupportedError


def _normal(rng, *sizes):
    return ingot.tensor(rng.standard_normal(sizes))


# ------------------------------------------------------------------------------------------------------ linear


def test_linear(rng):
    layer = nn.Linear(3, 2).double()
    x = _normal(rng, 4, 5, 3)
    expected = x.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert nn.Linear(3, 2, dtype=ingot.float64).weight.dtype is ingot.float64


def test_linear_refuses_other_sizes():
    with pytest.raises(ShapeError, match="linear"):
        nn.Linear(3, 2)(ingot.ones(4, 5))
    for sizes in ((0, 2), (3, -1), (2.0, 3), (True, 3)):
        with pytest.raises(ArgumentError, match=r"Linear: (in|out)_features is"):
            nn.Linear(*sizes)


# ------------------------------------------------------------------------------------------------- convolution


def test_convolution_against_its_definition(rng):
    layer = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2).double()
    x = _normal(rng, 2, 4, 6, 7)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (0, 0)))
    expected = np.empty((2, 6, 3, 5))
    for o in range(6):
        channels = slice(0, 2) if o < 3 else slice(2, 4)
        for i in range(3):
            for j in range(5):
                window = wide[:, channels, 2 * i : 2 * i + 3, j : j + 3 : 2]
                expected[:, o, i, j] = (window * weight[o]).sum(axis=(1, 2, 3)) + bias[o]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", [1, 2, 3, (4, 5), (5, 2)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_keeps_the_size(kernel, dilation):
    layer = nn.Conv2d(1, 1, kernel, padding="same", dilation=dilation)
    assert tuple(layer(ingot.ones(1, 1, 11, 12)).shape) == (1, 1, 11, 12)


def test_convolution_of_a_single_image(rng):
    layer = nn.Conv2d(3, 2, 3)
    x = ingot.rand(3, 5, 5)
    assert layer(x).shape == (2, 3, 3)
    assert layer(x).equal(layer(x.reshape(1, 3, 5, 5))[0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups does not divide"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size is 0"),
        (lambda: nn.Conv2d(3, 4, (1, 2, 3)), r"kernel_size is \(1, 2, 3\)"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), "stride is 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "padding is -1"),
        (lambda: nn.Conv2d(1, 1, 3, padding="some")(ingot.ones(1, 1, 5, 5)), "padding is 'some'"),
        (lambda: nn.Conv2d(1, 1, 3, padding="same", stride=2)(ingot.ones(1, 1, 5, 5)), "with a stride"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), "padding_idx is 3"),
        (lambda: nn.Dropout(1.5), "Dropout: p is 1.5"),
        (lambda: nn.GroupNorm(2, 3), "num_groups does not divide"),
        (lambda: nn.MultiheadAttention(5, 2), "num_heads does not divide"),
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d: num_features is 0"),
        (lambda: nn.CrossEntropyLoss(reduction="all"), "CrossEntropyLoss: reduction is 'all'"),
    ],
)
def test_mistakes_are_named(make, says):
    with pytest.raises(ArgumentError, match=says):
        make()


def test_what_is_not_there_says_so():
    with pytest.raises(UnsupportedError, match="padding_mode 'circular'"):
        nn.Conv2d(1, 1, 3, padding_mode="circular")
    with pytest.raises(UnsupportedError, match="mode 'reflect'"):
        nn.functional.pad(ingot.ones(3, 3), (1, 1), mode="reflect")


# -------------------------------------------------------------------------------------------- batch normalization


def _statistics(x):
    """Mean and unbiased variance by channel."""
    flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return flat.mean(axis=1), flat.var(axis=1, ddof=1)


def test_batch_norm_in_training(rng):
    layer = nn.BatchNorm2d(3, momentum=0.3).double()
    mean, var = np.zeros(3), np.ones(3)
    buffers = [layer.running_mean, layer.running_var, layer.num_batches_tracked]
    for count in range(1, 4):
        x = rng.standard_normal((4, 3, 2, 5)) * 3 + 1
        y = layer(ingot.tensor(x)).detach().numpy()
        now_mean, now_var = _statistics(x)
        mean, var = 0.7 * mean + 0.3 * now_mean, 0.7 * var + 0.3 * now_var
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-12)
        assert layer.num_batches_tracked.item() == count
        biased = now_var * 39 / 40
        shaped = [s.reshape(1, 3, 1, 1) for s in (now_mean, biased)]
        np.testing.assert_allclose(y, (x - shaped[0]) / np.sqrt(shaped[1] + 1e-5), atol=1e-12)
    now = [layer.running_mean, layer.running_var, layer.num_batches_tracked]
    assert all(a is b for a, b in zip(now, buffers, strict=True))


def test_batch_norm_in_evaluation_uses_what_it_tracked(rng):
    layer = nn.BatchNorm1d(3).double().eval()
    with ingot.no_grad():
        layer.running_mean.copy_(ingot.tensor([1.0, 2.0, 3.0]))
        layer.running_var.copy_(ingot.tensor([4.0, 9.0, 16.0]))
        layer.weight.fill_(2.0)
        layer.bias.fill_(0.5)
    x = rng.standard_normal((5, 3))
    expected = (x - [1, 2, 3]) / np.sqrt(np.array([4, 9, 16]) + 1e-5) * 2 + 0.5
    np.testing.assert_allclose(layer(ingot.tensor(x)).detach().numpy(), expected, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 0


def test_batch_norm_without_momentum_keeps_the_mean_of_all(rng):
    layer = nn.BatchNorm1d(2, momentum=None).double()
    batches = [rng.standard_normal((6, 2)) for _ in range(4)]
    for x in batches:
        layer(ingot.tensor(x))
    means, variances = zip(*map(_statistics, batches), strict=True)
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean(means, axis=0), rtol=1e-10)
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean(variances, axis=0), rtol=1e-10)


def test_batch_norm_without_statistics(rng):
    layer = nn.BatchNorm1d(2, track_running_stats=False, affine=False).eval()
    assert list(layer.state_dict()) == []
    y = layer(ingot.tensor(rng.standard_normal((50, 2)))).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-4)


def test_batch_norms_statistics_carry_no_gradient(rng):
    layer = nn.BatchNorm1d(2)
    for _ in range(2):
        layer(_normal(rng, 4, 2).float().requires_grad_()).sum().backward()
    assert not layer.running_mean.requires_grad
    assert not layer.running_var.requires_grad


def test_batch_norm_can_forget(rng):
    layer = nn.BatchNorm1d(2)
    layer(ingot.rand(4, 2))
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0


def test_batch_norm_refuses_what_has_no_variance_and_other_ranks():
    with pytest.raises(ShapeError, match="a single value per channel"):
        nn.BatchNorm1d(3)(ingot.ones(1, 3))
    with pytest.raises(ShapeError, match="BatchNorm2d: input of 3 dimensions"):
        nn.BatchNorm2d(3)(ingot.ones(2, 3, 4))
    with pytest.raises(ShapeError, match="batch_norm"):
        nn.BatchNorm1d(3).eval()(ingot.ones(2, 4))
    with pytest.raises(ArgumentError, match="no running statistics"):
        nn.functional.batch_norm(ingot.ones(2, 3), None, None)


# ----------------------------------------------------------------------------------------------------- dropout


def test_dropout_drops_scales_and_goes_by_the_seed():
    layer = nn.Dropout(0.25)
    ingot.manual_seed(0)
    x = ingot.ones(10_000)
    y = layer(x)
    assert np.unique(y.numpy()).tolist() == pytest.approx([0.0, 4 / 3])
    assert abs((y.numpy() == 0).mean() - 0.25) < 0.02
    assert not layer(x).equal(y)
    ingot.manual_seed(0)
    assert layer(x).equal(y)
    assert layer.eval()(x) is x


def test_dropouts_gradient_is_its_mask():
    ingot.manual_seed(0)
    x = ingot.ones(50, requires_grad=True)
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_dropout_at_both_ends():
    x = ingot.ones(5)
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(1.0)(x).tolist() == [0.0] * 5
    with pytest.raises(ArgumentError, match="not a probability"):
        nn.functional.dropout(x, -0.1)
    inplace = ingot.ones(100)
    assert nn.Dropout(0.5, inplace=True)(inplace) is inplace
    assert set(inplace.tolist()) == {0.0, 2.0}


def test_dropout_of_channels():
    ingot.manual_seed(0)
    for sizes in ((8, 16, 3, 3), (16, 3, 3)):
        y = nn.Dropout2d(0.5)(ingot.ones(*sizes)).numpy().reshape(-1, 9)
        assert (y == y[:, :1]).all()
        assert set(np.unique(y)) == {0.0, 2.0}
    x = ingot.ones(2, 2, 2, 2)
    assert nn.Dropout2d(0.5).eval()(x) is x
    with pytest.raises(ShapeError, match="not an image"):
        nn.Dropout2d()(ingot.ones(2, 2))


# -------------------------------------------------------------------------------------------- embedding, shaping


def test_embedding():
    layer = nn.Embedding(4, 3, padding_idx=-2)
    assert layer.padding_idx == 2
    assert layer.weight[2].tolist() == [0.0, 0.0, 0.0]
    ids = ingot.tensor([[0, 2], [2, 0]])
    y = layer(ids)
    assert y.shape == (2, 2, 3)
    assert y[0, 0].tolist() == layer.weight[0].tolist()
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[2.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3]
    with pytest.raises(IndexOutOfRange):
        layer(ingot.tensor([4]))


def test_embedding_of_a_given_table():
    table = ingot.rand(5, 2)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer(ingot.tensor([3])).equal(table[3:4])
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    assert repr(layer) == "Embedding(5, 2)"
    with pytest.raises(ShapeError, match="not a table"):
        nn.Embedding.from_pretrained(ingot.rand(5))


def test_shaping():
    x = ingot.rand(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Unflatten(-1, (5, -1))(x).shape == (2, 3, 4, 5, 1)
    with pytest.raises(IndexOutOfRange, match="dim 7 of 4"):
        nn.Unflatten(7, (1,))(x)


def test_normalizations(rng):
    x = rng.standard_normal((2, 6, 4, 3))
    for layer, axes in ((nn.LayerNorm((4, 3)), (2, 3)), (nn.LayerNorm(3), (3,))):
        y = layer.double()(ingot.tensor(x)).detach().numpy()
        mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
        np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-9, atol=1e-12)
    y = nn.GroupNorm(2, 6).double()(ingot.tensor(x)).detach().numpy()
    groups = x.reshape(2, 2, -1)
    expected = (groups - groups.mean(axis=2, keepdims=True)) / np.sqrt(groups.var(axis=2, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, expected.reshape(x.shape), rtol=1e-9, atol=1e-12)


# --------------------------------------------------------------------------------------------------- attention


def test_attention_looks_where_it_may(rng):
    q, k, v = (_normal(rng, 5, 4) for _ in range(3))
    causal = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).numpy()
    np.testing.assert_allclose(causal[0], v.numpy()[0], rtol=1e-12)
    mask = ingot.tensor(np.tri(5, dtype=bool))
    masked = nn.functional.scaled_dot_product_attention(q, k, v, mask).numpy()
    np.testing.assert_array_equal(causal, masked)
    with pytest.raises(ArgumentError, match="exclude each other"):
        nn.functional.scaled_dot_product_attention(q, k, v, mask, is_causal=True)


def test_multihead_attention_with_one_head_is_attention(rng):
    layer = nn.MultiheadAttention(4, 1, bias=False, batch_first=True).double()
    with ingot.no_grad():
        layer.in_proj_weight.copy_(ingot.tensor(np.tile(np.eye(4), (3, 1))))
        layer.out_proj.weight.copy_(ingot.tensor(np.eye(4)))
    q, k, v = (_normal(rng, 2, 5, 4) for _ in range(3))
    output, weights = layer(q, k, v)
    expected = nn.functional.scaled_dot_product_attention(q, k, v)
    np.testing.assert_allclose(output.detach().numpy(), expected.numpy(), rtol=1e-12)
    np.testing.assert_allclose(weights.detach().numpy().sum(axis=-1), 1.0, rtol=1e-12)
    without, none = layer(q, k, v, need_weights=False)
    assert none is None
    np.testing.assert_allclose(without.detach().numpy(), output.detach().numpy(), rtol=1e-12)
    causal, _ = layer(q, k, v, is_causal=True)
    np.testing.assert_allclose(causal.detach().numpy()[:, 0], v.numpy()[:, 0], rtol=1e-12)
    with pytest.raises(ShapeError, match="MultiheadAttention: query"):
        layer(q[0, 0], k, v)


# ------------------------------------------------------------------------------------------- every layer by seeds


def test_equal_seeds_make_equal_layers():
    def make():
        ingot.manual_seed(11)
        return nn.Sequential(nn.Linear(3, 4), nn.Conv2d(2, 3, 3), nn.Embedding(5, 2), nn.MultiheadAttention(4, 2))

    first, second = make().state_dict(), make().state_dict()
    assert all(value.equal(second[name]) for name, value in first.items())
    assert not first["0.weight"].reshape(-1)[:4].equal(first["0.bias"])
