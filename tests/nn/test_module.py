"""`Module`: registration, walks, modes, conversions, hooks, state, text."""

import copy
import pickle

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, GradientError, IngotError, ShapeError, UnsupportedError


class Block(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.scale = nn.Parameter(ingot.ones(width))
        self.register_buffer("seen", ingot.zeros(()))
        self.register_buffer("scratch", ingot.zeros(3), persistent=False)

    def forward(self, x):
        return self.inner(x) * self.scale


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.rest = nn.Sequential(Block(), nn.ReLU())

    def forward(self, x):
        return self.rest(self.first(x))


PARAMETERS = [
    *("first.scale", "first.inner.weight", "first.inner.bias"),
    *("rest.0.scale", "rest.0.inner.weight", "rest.0.inner.bias"),
]


# ----------------------------------------------------------------------------------------------- registration


def test_assignment_registers():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == PARAMETERS
    assert [name for name, _ in net.named_buffers()] == ["first.seen", "first.scratch", "rest.0.seen", "rest.0.scratch"]
    assert [name for name, _ in net.named_modules()] == [
        "",
        "first",
        "first.inner",
        "rest",
        "rest.0",
        "rest.0.inner",
        "rest.1",
    ]
    assert [name for name, _ in net.named_children()] == ["first", "rest"]
    assert [name for name, _ in net.named_parameters(prefix="net", recurse=False)] == []
    assert [name for name, _ in net.first.named_parameters(prefix="net", recurse=False)] == ["net.scale"]
    assert len(list(net.parameters())) == 6
    assert len(list(net.modules())) == 7
    assert len(list(net.children())) == 2
    assert len(list(net.buffers())) == 4


def test_plain_tensors_and_values_are_plain_attributes():
    block = Block()
    block.note = "plain"
    block.extra = ingot.ones(2)
    assert "extra" not in dict(block.named_buffers())
    assert block.note == "plain"
    block.seen = ingot.ones(())
    assert dict(block.named_buffers())["seen"].item() == 1.0


def test_a_name_changes_what_it_stands_for():
    block = Block()
    block.extra = 3
    block.extra = nn.Parameter(ingot.ones(1))
    assert "extra" in dict(block.named_parameters())
    block.extra = nn.ReLU()
    assert "extra" not in dict(block.named_parameters())
    assert "extra" in dict(block.named_children())
    del block.extra
    assert not hasattr(block, "extra")
    block.scale = None
    assert block.scale is None
    assert "scale" not in dict(block.named_parameters())
    del block.scratch
    assert "scratch" not in dict(block.named_buffers())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: setattr(b, "scale", ingot.ones(2)), "Block.scale cannot become a Tensor"),
        (lambda b: setattr(b, "inner", 3), "Block.inner cannot become a int"),
        (lambda b: setattr(b, "seen", 3), "Block.seen cannot become a int"),
        (lambda b: b.register_parameter("forward", None), "attribute 'forward' already exists"),
        (lambda b: b.register_parameter("a.b", None), "'a.b' is not a name"),
        (lambda b: b.register_parameter("new", ingot.ones(1)), "'new' is a Tensor"),
        (lambda b: b.register_buffer("", None), "'' is not a name"),
        (lambda b: b.register_buffer("new", 3), "'new' is a int"),
        (lambda b: b.add_module("new", 3), "'new' is a int"),
        (lambda b: nn.Parameter([1.0]), "data is a list"),
        (lambda b: b.get_submodule("inner.nothing"), "Linear has no submodule 'nothing'"),
        (lambda b: b.get_parameter("inner.nothing"), "Linear has no parameter 'nothing'"),
        (lambda b: b.get_buffer("nothing"), "Block has no buffer 'nothing'"),
    ],
)
def test_mistakes_are_named(change, says):
    with pytest.raises(ArgumentError, match=says):
        change(Block())


def test_super_init_comes_first():
    class Hasty(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(ArgumentError, match=r"Hasty\.__init__ assigns parameters or submodules before super"):
        Hasty()


def test_unknown_attributes_are_attribute_errors():
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'nothing'"):
        _ = Block().nothing
    with pytest.raises(UnsupportedError, match="Module has no forward"):
        nn.Module()(1)


def test_paths_lead_to_what_they_name():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("rest.0.inner") is net.rest[0].inner
    assert net.get_parameter("first.inner.weight") is net.first.inner.weight
    assert net.get_buffer("first.seen") is net.first.seen
    assert {"scale", "seen", "inner", "forward"} <= set(dir(net.first))


def test_shared_modules_and_parameters_count_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    tied = nn.Linear(2, 2, bias=False)
    tied.weight = layer.weight
    net.append(tied)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert [name for name, _ in net.named_modules()] == ["", "0", "2"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 5
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight"]
    assert len(list(net.children())) == 2


# ------------------------------------------------------------------------------------- parameters


def test_parameters_are_leaves_that_share_memory():
    data = ingot.ones(2)
    p = nn.Parameter(data)
    assert isinstance(p, ingot.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    with ingot.no_grad():
        p.add_(1)
    assert data.tolist() == [2.0, 2.0]
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert repr(p).startswith("Parameter containing:\ntensor([2., 2.]")
    assert not isinstance(p + 1, nn.Parameter)
    with pytest.raises(GradientError, match="only floating-point"):
        nn.Parameter(ingot.tensor([1, 2]))


def test_a_parameter_of_a_computed_tensor_is_a_leaf():
    x = ingot.ones(2, requires_grad=True)
    p = nn.Parameter(x * 2)
    (p * 3).sum().backward()
    assert p.grad.tolist() == [3.0, 3.0]
    assert x.grad is None


def test_copies_and_pickles_are_parameters():
    net = Net()
    net.first.inner.weight.grad = ingot.ones(2, 2)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert [name for name, _ in other.named_parameters()] == PARAMETERS
        assert isinstance(other.first.scale, nn.Parameter)
        assert other.first.scale.requires_grad
        with ingot.no_grad():
            other.first.scale.zero_()
        assert net.first.scale.tolist() == [1.0, 1.0]


# ------------------------------------------------------------------------------------- modes and conversions


def test_training_mode_reaches_everything():
    net = Net()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.rest.train()
    assert [name for name, m in net.named_modules() if m.training] == ["rest", "rest.0", "rest.0.inner", "rest.1"]
    with pytest.raises(ArgumentError, match="mode is 1"):
        net.train(1)


def test_freezing_and_zeroing():
    net = Net().requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    net(ingot.ones(1, 2)).sum().backward()
    assert net.first.scale.grad is not None
    net.zero_grad(set_to_none=False)
    assert net.first.scale.grad.tolist() == [0.0, 0.0]
    net.zero_grad()
    assert net.first.scale.grad is None


def test_apply_visits_children_first():
    seen = []
    Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Block", "Linear", "Block", "ReLU", "Sequential", "Net"]


def test_conversion_keeps_parameters_and_spares_integers():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weight = net[0].weight
    weight.grad = ingot.ones(2, 2)
    net.double()
    assert net[0].weight is weight
    assert weight.dtype is ingot.float64
    assert weight.grad.dtype is ingot.float64
    assert weight.requires_grad
    assert net[1].running_mean.dtype is ingot.float64
    assert net[1].num_batches_tracked.dtype is ingot.int64
    assert net(ingot.ones(2, 2, dtype=ingot.float64)).dtype is ingot.float64
    for convert, dtype in ((net.float, ingot.float32), (net.half, ingot.float16), (net.bfloat16, ingot.bfloat16)):
        assert convert() is net
        assert weight.dtype is dtype
    assert net.to("cpu", ingot.float32)[0].weight.dtype is ingot.float32
    with pytest.raises(ArgumentError, match="dtype is int64"):
        net.to(ingot.int64)


def test_shared_buffers_stay_shared_when_converted():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    net[1].running_mean = net[0].running_mean
    net.double()
    assert net[1].running_mean is net[0].running_mean


# ----------------------------------------------------------------------------------------------------- hooks


def test_hooks_run_around_forward_and_can_be_removed():
    layer = nn.Identity()
    seen = []
    first = layer.register_forward_hook(lambda m, args, y: seen.append("after"))
    layer.register_forward_pre_hook(lambda m, args: seen.append("before"))
    layer.register_forward_hook(lambda m, args, y: seen.append("first"), prepend=True)
    layer(1)
    assert seen == ["before", "first", "after"]
    first.remove()
    first.remove()
    seen.clear()
    layer(1)
    assert seen == ["before", "first"]


def test_hooks_may_replace_arguments_and_results():
    class Power(nn.Module):
        def forward(self, x, *, exponent=1):
            return x**exponent

    power = Power()
    with power.register_forward_pre_hook(lambda m, args: args[0] + 1):
        assert power(2) == 3
    with power.register_forward_pre_hook(lambda m, args, kwargs: (args, {"exponent": 3}), with_kwargs=True):
        assert power(2) == 8
    with power.register_forward_hook(lambda m, args, kwargs, y: (kwargs, y), with_kwargs=True):
        assert power(2, exponent=2) == ({"exponent": 2}, 4)
    assert power(2) == 2
    with (
        power.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True),
        pytest.raises(ArgumentError, match="neither None nor"),
    ):
        power(2)


# ---------------------------------------------------------------------------------------------------- errors


def test_an_error_names_the_module_it_comes_from():
    net = Net()
    net.rest.append(nn.Linear(3, 1))
    with pytest.raises(ShapeError) as caught:
        net(ingot.ones(1, 2))
    assert caught.value.path == "rest.2"
    assert "(rest.2)" in str(caught.value)


def test_an_error_of_a_module_called_through_a_list_names_it_too():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(3, 2)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    with pytest.raises(IngotError) as caught:
        nn.Sequential(Loop())(ingot.ones(1, 2))
    assert caught.value.path == "0.layers.1"


# ----------------------------------------------------------------------------------------------------- state


def test_state_holds_parameters_and_persistent_buffers():
    net = Net()
    state = net.state_dict()
    assert list(state) == [
        "first.scale", "first.seen", "first.inner.weight", "first.inner.bias",
        "rest.0.scale", "rest.0.seen", "rest.0.inner.weight", "rest.0.inner.bias",
    ]  # fmt: skip
    assert not state["first.scale"].requires_grad
    with ingot.no_grad():
        state["first.scale"].mul_(5)
    assert net.first.scale.tolist() == [5.0, 5.0]
    assert net.state_dict(keep_vars=True)["first.scale"] is net.first.scale
    assert list(net.first.state_dict(prefix="a.")) == ["a.scale", "a.seen", "a.inner.weight", "a.inner.bias"]


def test_loading_copies_values_and_converts_dtypes():
    source, target = Net(), Net()
    weight = target.first.inner.weight
    assert str(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert target.first.inner.weight is weight
    for name, value in source.state_dict().items():
        assert value.equal(target.state_dict()[name])
    arrays = {name: value.numpy().astype(np.float64) * 2 for name, value in source.state_dict().items()}
    target.load_state_dict(arrays)
    assert target.first.scale.tolist() == [2.0, 2.0]
    assert target.first.scale.dtype is ingot.float32
    assert target.first.scale.requires_grad


def test_assigning_takes_tensors_as_they_are():
    net = nn.Linear(2, 1)
    net.weight.requires_grad_(False)
    state = {"weight": ingot.ones(1, 2, dtype=ingot.float64), "bias": ingot.zeros(1, dtype=ingot.float64)}
    net.load_state_dict(state, assign=True)
    assert net.weight.dtype is ingot.float64
    assert isinstance(net.weight, nn.Parameter)
    assert not net.weight.requires_grad
    assert net.bias.requires_grad
    with ingot.no_grad():
        net.weight.zero_()
    assert state["weight"].tolist() == [[0.0, 0.0]]


def test_all_that_does_not_fit_is_listed_and_nothing_is_loaded():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = net[0].bias.tolist()
    state = {"0.bias": ingot.zeros(3), "0.weight": ingot.zeros(3, 4), "1.weight": "text", "2.weight": ingot.zeros(1)}
    with pytest.raises(ArgumentError) as caught:
        net.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "load_state_dict: the state does not fit Sequential",
        "  missing     1.bias",
        "  unexpected  2.weight",
        "  size        0.weight: [3, 4] in the state, [3, 2] in the module",
        "  kind        1.weight: str in place of a tensor",
    ]
    assert net[0].bias.tolist() == before
    with pytest.raises(ArgumentError) as caught:
        net.load_state_dict(state, strict=False)
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(ArgumentError, match="the state is a list"):
        net.load_state_dict([])


def test_loading_in_parts():
    net = nn.Linear(2, 1)
    result = net.load_state_dict({"bias": ingot.ones(1), "more": ingot.ones(1)}, strict=False)
    assert result.missing_keys == ["weight"]
    assert result.unexpected_keys == ["more"]
    assert net.bias.tolist() == [1.0]


def test_loading_is_seen_by_the_tape():
    net = nn.Linear(1, 1)
    y = (net.weight * net.weight).sum()
    net.load_state_dict({"weight": ingot.ones(1, 1), "bias": ingot.ones(1)})
    with pytest.raises(GradientError, match="changed in place"):
        y.backward()


# ------------------------------------------------------------------------------------------------------ text


def test_text_is_pytorchs():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Block(\n"
        "    (inner): Linear(in_features=2, out_features=2, bias=True)\n"
        "  )\n"
        "  (rest): Sequential(\n"
        "    (0): Block(\n"
        "      (inner): Linear(in_features=2, out_features=2, bias=True)\n"
        "    )\n"
        "    (1): ReLU()\n"
        "  )\n"
        ")"
    )
