"""The demo's net written by hand in NumPy, as a good engineer would for inference: the yardstick of `net.py`.

Layout N, C, H, W in float32. A convolution gathers its windows into columns and is one product of matrices; batch
normalisation is a scale and a shift for each channel, worked out once from the trained statistics; max pooling takes
the largest of four strided views; dropout does nothing at inference. What NumPy can do in place is done in place.
Memory is left to NumPy, as it is in code that people write.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["HandNet", "random_state"]

Array = np.ndarray


class HandNet:
    """conv3x3(1->16) bn relu pool, conv3x3(16->32) bn relu pool, flatten, linear(128->64) relu, linear(64->10).

    Args:
        state: the parameters and statistics by PyTorch's names (`"conv1.weight"`, `"bn1.running_mean"`, ...).
        fold: whether batch normalisation goes into the convolution's weights instead, once for all calls.

    >>> net = HandNet(random_state(np.random.default_rng(0)))
    >>> net(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 10)
    """

    def __init__(self, state: Mapping[str, Array], *, fold: bool = False) -> None:
        self.convolutions = []
        for i in (1, 2):
            weight, bias = state[f"conv{i}.weight"], state[f"conv{i}.bias"]
            scale = state[f"bn{i}.weight"] / np.sqrt(state[f"bn{i}.running_var"] + np.float32(1e-5))
            shift = state[f"bn{i}.bias"] - state[f"bn{i}.running_mean"] * scale
            rows = weight.reshape(len(weight), -1)
            if fold:
                rows, bias, norm = rows * scale[:, None], bias * scale + shift, None
            else:
                norm = (scale[:, None], shift[:, None])
            self.convolutions.append((rows, bias[:, None], norm))
        self.linears = [(state[f"fc{i}.weight"].T, state[f"fc{i}.bias"]) for i in (1, 2)]

    def __call__(self, images: Array) -> Array:
        """Logits [N, 10] of images [N, 1, 8, 8]."""
        x = images
        for rows, bias, norm in self.convolutions:
            x = max_pool(relu(convolution(x, rows, bias, norm)))
        x = x.reshape(len(x), -1)
        (w1, b1), (w2, b2) = self.linears
        return linear(relu(linear(x, w1, b1)), w2, b2)


def convolution(x: Array, rows: Array, bias: Array, norm: tuple[Array, Array] | None) -> Array:
    """A 3x3 convolution with padding 1, and batch normalisation behind it."""
    n, c, h, w = x.shape
    padded = np.zeros((n, c, h + 2, w + 2), x.dtype)
    padded[:, :, 1:-1, 1:-1] = x
    columns = np.empty((c, 3, 3, n, h, w), x.dtype)
    for i in range(3):
        for j in range(3):
            columns[:, i, j] = padded[:, :, i : i + h, j : j + w].transpose(1, 0, 2, 3)
    found = rows @ columns.reshape(c * 9, n * h * w)
    found += bias
    if norm is not None:
        found *= norm[0]
        found += norm[1]
    return np.ascontiguousarray(found.reshape(-1, n, h, w).transpose(1, 0, 2, 3))


def relu(x: Array) -> Array:
    """max(x, 0), in place."""
    return np.maximum(x, 0, out=x)


def max_pool(x: Array) -> Array:
    """The largest of every two by two elements."""
    top = np.maximum(x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2])
    bottom = np.maximum(x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2])
    return np.maximum(top, bottom, out=top)


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x @ weight + bias, for a weight that is already transposed."""
    found = x @ weight
    found += bias
    return found


def random_state(rng: np.random.Generator) -> dict[str, Array]:
    """Parameters of the right sizes with plausible values."""
    sizes = {
        "conv1.weight": (16, 1, 3, 3),
        "conv1.bias": (16,),
        "conv2.weight": (32, 16, 3, 3),
        "conv2.bias": (32,),
        "fc1.weight": (64, 128),
        "fc1.bias": (64,),
        "fc2.weight": (10, 64),
        "fc2.bias": (10,),
    }
    state = {name: rng.normal(0.0, 0.2, shape).astype(np.float32) for name, shape in sizes.items()}
    for name, channels in (("bn1", 16), ("bn2", 32)):
        state[f"{name}.weight"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(0.0, 0.1, channels).astype(np.float32)
        state[f"{name}.running_mean"] = rng.normal(0.0, 0.1, channels).astype(np.float32)
        state[f"{name}.running_var"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)
    return state
