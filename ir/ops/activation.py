"""Activation functions. References: the papers named beside them, and PyTorch's definitions."""

from __future__ import annotations

import math
from typing import Any

from ..families import elementwise
from .literals import literal_of

_SQRT_HALF = math.sqrt(0.5)
_TANH_SCALE = math.sqrt(2.0 / math.pi)

elementwise(
    "relu(input: Tensor) -> Tensor",
    scalar=lambda s, x: s.maximum(x, 0),
    grad={"input": lambda F, g, y: F.where(F.gt(y, 0), g, 0.0)},
    onnx="Relu",
    doc="max(input, 0).",
)
elementwise(
    "leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor",
    scalar=lambda s, x, negative_slope: s.where(x > 0, x, x * negative_slope),
    promotion="float",
    grad={"input": lambda F, g, input, negative_slope: F.where(F.gt(input, 0), g, g * negative_slope)},
    onnx=lambda E, input, negative_slope: E.LeakyRelu(input, alpha=negative_slope),
    doc="input where positive, else negative_slope * input.",
)
elementwise(
    "elu(input: Tensor, alpha: float = 1.0) -> Tensor",
    scalar=lambda s, x, alpha: s.where(x > 0, x, alpha * s.expm1(x)),
    promotion="float",
    grad={"input": lambda F, g, y, input, alpha: g * F.where(F.gt(input, 0), 1.0, y + alpha)},
    onnx=lambda E, input, alpha: E.Elu(input, alpha=alpha),
    doc="input where positive, else alpha * (exp(input) - 1). Clevert et al. 2015.",
)
elementwise(
    "sigmoid(input: Tensor) -> Tensor",
    scalar=lambda s, x: 1.0 / (1.0 + s.exp(-x)),
    promotion="float",
    grad={"input": lambda g, y: g * (y * (1.0 - y))},
    onnx="Sigmoid",
    doc="1 / (1 + exp(-input)).",
)
elementwise(
    "silu(input: Tensor) -> Tensor",
    scalar=lambda s, x: x / (1.0 + s.exp(-x)),
    promotion="float",
    grad={"input": lambda F, g, input: _silu_grad(F, g, input)},
    onnx=lambda E, input: E.Mul(input, E.Sigmoid(input)),
    doc="input * sigmoid(input). Elfwing et al. 2017.",
)


def _silu_grad(F: Any, g: Any, input: Any) -> Any:
    gate = F.sigmoid(input)
    return g * (gate * (1.0 + input * (1.0 - gate)))


def _gelu(s: Any, x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + s.tanh(_TANH_SCALE * (x + 0.044715 * (x * x * x))))
    return 0.5 * x * (1.0 + s.erf(x * _SQRT_HALF))


def _gelu_grad(F: Any, g: Any, input: Any, approximate: str) -> Any:
    if approximate == "tanh":
        t = F.tanh((input + input * input * input * 0.044715) * _TANH_SCALE)
        slope = (input * input * (3 * 0.044715) + 1.0) * _TANH_SCALE
        return g * (0.5 * (1.0 + t) + 0.5 * input * (1.0 - t * t) * slope)
    density = F.exp(input * input * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
    return g * (0.5 * (1.0 + F.erf(input * _SQRT_HALF)) + input * density)


elementwise(
    "gelu(input: Tensor, *, approximate: str = 'none') -> Tensor",
    scalar=_gelu,
    promotion="float",
    grad={"input": lambda F, g, input, approximate: _gelu_grad(F, g, input, approximate)},
    onnx=lambda E, input, approximate: E.Gelu(input, approximate=approximate),
    doc="input times the normal distribution function of input, or its tanh approximation. Hendrycks & Gimpel 2016.",
)


def _softplus_onnx(E: Any, input: Any, beta: float, threshold: float) -> Any:
    scaled = input if beta == 1 else E.Mul(input, beta)
    found = E.Softplus(scaled) if beta == 1 else E.Div(E.Softplus(scaled), beta)
    # Above 20 the function is the identity to the last digit, whatever the threshold says.
    return found if threshold >= 20 else E.Where(E.Greater(scaled, threshold), input, found)


elementwise(
    "softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor",
    scalar=lambda s, x, beta, threshold: s.where(
        x * beta > threshold, x, s.log1p(s.exp(s.minimum(x * beta, threshold))) / beta
    ),
    promotion="float",
    grad={
        "input": lambda F, g, input, beta, threshold: F.where(
            F.gt(input * beta, threshold), g, g * F.sigmoid(input * beta)
        )
    },
    onnx=lambda E, input, beta, threshold: _softplus_onnx(E, input, beta, threshold),
    doc="log(1 + exp(beta * input)) / beta; the identity above the threshold.",
)
elementwise(
    "hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor",
    scalar=lambda s, x, min_val, max_val: s.minimum(
        s.maximum(x, literal_of(min_val, s.dtype(x))), literal_of(max_val, s.dtype(x))
    ),
    grad={
        "input": lambda F, g, input, min_val, max_val: F.where(
            F.logical_and(F.gt(input, min_val), F.lt(input, max_val)), g, 0.0
        )
    },
    onnx=lambda E, input, min_val, max_val: E.Clip(
        input, *(E.number(literal_of(limit, input.dtype), input) for limit in (min_val, max_val))
    ),
    doc="input limited to [min_val, max_val].",
)
elementwise(
    "hardswish(input: Tensor) -> Tensor",
    scalar=lambda s, x: x * s.minimum(s.maximum(x + 3.0, 0.0), 6.0) / 6.0,
    promotion="float",
    grad={
        "input": lambda F, g, input: (
            g * F.where(F.le(input, -3.0), 0.0, F.where(F.ge(input, 3.0), 1.0, input / 3.0 + 0.5))
        )
    },
    onnx="HardSwish",
    doc="input * min(max(input + 3, 0), 6) / 6. Howard et al. 2019.",
)
