"""The device of the example is baked in: the program does not run where the function would."""

from __future__ import annotations

import ingot
import numpy as np
from capture_corpus import captured, ones, randn, refused, refused_at_call, zeros
from ingot import nn
from ingot.ir.errors import ArgumentError, DTypeError

THREE = {"example": lambda: (ones(3),)}
ROWS = {
    "example": lambda: (ones(4, 3),),
    "fresh": lambda rng: (randn(rng, int(rng.integers(1, 9)), 3),),
    "dynamic_shapes": {0: "rows"},
}


def names_no_device(program):
    """No node of the graph has a device: what the program makes lies where its inputs lie."""
    for node in program.graph.nodes():
        assert not any("device" in name or "cpu" in str(value) for name, value in node.attrs.items()), node


# ----------------------------------------------------------------------------------------------------- captured


@captured("pytorch/pytorch#43134", **ROWS, ledger=[("device", "blob = ")], then=names_no_device)
def zeros_on_the_inputs_device(x):
    blob = ingot.zeros(x.shape, device=x.device)
    return blob + x


@captured("pytorch/pytorch#145995", **ROWS, then=names_no_device)
def frequencies_on_the_inputs_device(x):
    steps = ingot.arange(0, 4, dtype=ingot.float32, device=x.device)
    return x.sum(1)[:, None] * steps[None]


@captured("pytorch/pytorch#62961", **THREE, state=["rng"], then=names_no_device)
def noise_that_is_moved_to_the_input(x):
    return x + ingot.randn(1).to(x.device)


@captured("pytorch/pytorch#31141", **THREE, then=names_no_device)
def a_literal_on_the_inputs_device(x):
    return x + ingot.tensor((1.0, 2.0, 3.0), device=x.device)


@captured("pytorch/pytorch#31141", example=lambda: (ones(3), ones(3).double()), then=names_no_device)
def moved_to_another_tensor(x, other):
    return x.to(other) * 2 + other


@captured("pytorch/pytorch#62961", **ROWS, then=names_no_device)
class AnInputThatIsMovedToTheWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x.to(self.layer.weight.device, non_blocking=True))


@captured("pytorch/pytorch#62961", **THREE, then=names_no_device)
class ADeviceThatTheModuleKeeps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(ones(3))
        self.device = next(self.parameters()).device

    def forward(self, x):
        return x.to(self.device) * self.scale + zeros(3).to(self.device)


@captured("pytorch/pytorch#145995", **THREE, then=names_no_device)
class ATableThatIsNoBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = ingot.arange(3).float()

    def forward(self, x):
        return x * self.table.to(x.device)


@captured("pytorch/pytorch#43134", **THREE, then=names_no_device)
def made_like_the_input(x):
    return ingot.zeros_like(x) + ingot.ones_like(x, dtype=ingot.float64) + x.new_zeros(3) + ingot.full_like(x, 2.5)


@captured("pytorch/pytorch#43134", **THREE, ledger=[("device", 'if x.device.type == "cuda":')], then=names_no_device)
def a_path_for_each_kind_of_device(x):
    if x.device.type == "cuda":
        return x * 2
    return x * 3


@captured("pytorch/pytorch#145995", **THREE, ledger=[("device", "ingot.cuda.is_available()")], then=names_no_device)
def the_usual_choice_of_a_device(x):
    device = "cuda" if ingot.cuda.is_available() else "cpu"
    return (x * 2).to(device)


@captured("pytorch/pytorch#43134", **ROWS, then=lambda program: names_no_device(program.double()))
class ANetThatBecomesDouble(nn.Module):
    """Its state and inputs change together, and what it makes of its inputs' type follows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x + ingot.zeros(3, dtype=x.dtype, device=x.device))


# ------------------------------------------------------------------------------------------------------ refused


@refused_at_call(
    "pytorch/pytorch#62961",
    example=lambda: (ones(3), "cpu"),
    bad=lambda: (ones(3), "cuda"),
    message="argument 'device' is a constant of the program",
    error=ArgumentError,
)
def a_device_among_the_arguments(x, device):
    return x.to(device) * 2


@refused_at_call(
    "pytorch/pytorch#62961",
    **THREE,
    bad=lambda: (ones(3), "cpu"),
    message="argument 'device' has another structure than the captured one",
    error=ArgumentError,
)
def a_device_that_is_left_out_at_first(x, device=None):
    return x.to(device or x.device) * 2


@refused_at_call(
    "pytorch/pytorch#31141",
    **THREE,
    bad=lambda: (ones(3).double(),),
    message="input x is float64, not float32",
    error=DTypeError,
)
def a_dtype_that_follows_the_input(x):
    return x + ingot.zeros(3, dtype=x.dtype)


@refused(
    "pytorch/pytorch#145995",
    **THREE,
    message="numpy() takes a tensor's value out of the program",
    line="array = x.cpu().numpy()",
)
def a_way_through_numpy_on_the_cpu(x):
    array = x.cpu().numpy()
    return ingot.from_numpy(np.fft.rfft(array).real.astype(np.float32)).to(x.device)


@refused(
    "pytorch/pytorch#31141",
    **THREE,
    message="a value of type device at [1] cannot be an input or output of a program",
    line=None,
)
def a_device_among_the_results(x):
    return x * 2, x.device


@refused(
    "pytorch/pytorch#43134",
    **THREE,
    message="a Python branch on a tensor's value",
    line='device = "cuda" if x.sum() > 100 else "cpu"',
)
def a_device_that_the_data_choose(x):
    device = "cuda" if x.sum() > 100 else "cpu"
    return x.to(device)
