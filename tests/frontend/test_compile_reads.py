"""What a compiled function reads may change between calls in any way that Python knows: calls follow all of it.

Each scenario is a generator that is given `compile`, or a stand-in that leaves functions as they are; it yields what
calls give, and changes something between them. Both must yield the same.
"""

from __future__ import annotations

import collections
import copy
import functools
import sys
import types
import weakref

import ingot
import pytest
from ingot import nn
from ingot.ir.errors import CaptureError

X = ingot.tensor([1.0, -2.0, 3.0])
SCALE = 2.0


def plain(value):
    """A value with lists for its tensors."""
    if isinstance(value, ingot.Tensor):
        return value.tolist()
    return [plain(x) for x in value] if isinstance(value, (tuple, list)) else value


SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


# ----------------------------------------------------------------------------------------------------- functions


@scenario
def the_code_of_a_function(compile):
    def inner(x):
        return x * 2

    f = compile(lambda x: inner(x))
    yield f(X)
    inner.__code__ = (lambda x: x * 3).__code__
    yield f(X)


@scenario
def defaults_of_a_function(compile):
    def inner(x, factor=2, *, shift=0.0):
        return x * factor + shift

    f = compile(lambda x: inner(x))
    yield f(X)
    inner.__defaults__ = (5,)
    yield f(X)
    inner.__kwdefaults__ = {"shift": 1.0}
    yield f(X)


@scenario
def an_attribute_of_a_function(compile):
    def inner(x):
        return x * inner.factor

    inner.factor = 2
    f = compile(lambda x: inner(x))
    yield f(X)
    inner.factor = 3
    yield f(X)


@scenario
def keywords_of_a_partial(compile):
    part = functools.partial(lambda x, factor: x * factor, factor=2.0)
    f, g = compile(lambda x: part(x)), compile(part)
    yield f(X), g(X)
    part.keywords["factor"] = 3.0
    yield f(X), g(X)


@scenario
def a_module_that_is_imported_where_it_is_used(compile):
    module = sys.modules["settings_of_this_test"] = types.ModuleType("settings_of_this_test")
    module.factor = 2.0

    def f(x):
        from settings_of_this_test import factor

        return x * factor

    f = compile(f)
    yield f(X)
    module.factor = 3.0
    yield f(X)
    del sys.modules["settings_of_this_test"]


@scenario
def globals_by_computed_names(compile):
    space = {"FACTOR": 2.0}
    exec("def f(x):\n    return x * globals()['FAC' + 'TOR']", space)
    f = compile(space["f"])
    yield f(X)
    space["FACTOR"] = 3.0
    yield f(X)


@scenario
def two_functions_at_one_address(compile):
    f = compile(lambda x, function: function(x))
    yield f(X, lambda x: x * 2)
    yield f(X, lambda x: x * 3)


# ------------------------------------------------------------------------------------------------------- classes


@scenario
def a_method_of_the_class(compile):
    class Layer:
        def apply(self, x):
            return x * 2

    layer = Layer()
    f = compile(lambda x: layer.apply(x))
    yield f(X)
    Layer.apply = lambda self, x: x * 3
    yield f(X)
    layer.apply = lambda x: x * 4
    yield f(X)


@scenario
def a_method_that_a_derived_class_gets(compile):
    class Base:
        def apply(self, x):
            return x * 2

    class Derived(Base):
        pass

    layer = Derived()
    f = compile(lambda x: layer.apply(x))
    yield f(X)
    Derived.apply = lambda self, x: x * 3
    yield f(X)


@scenario
def an_attribute_in_front_of_the_class_s(compile):
    class Layer:
        factor = 2.0

    layer = Layer()
    f = compile(lambda x: x * layer.factor)
    yield f(X)
    layer.factor = 3.0
    yield f(X)
    del layer.factor
    yield f(X)


@scenario
def a_property(compile):
    class Layer:
        factor = property(lambda self: 2.0)

    layer = Layer()
    f = compile(lambda x: x * layer.factor)
    yield f(X)
    Layer.factor = property(lambda self: SCALE * 2)
    yield f(X)


@scenario
def an_attribute_that_is_asked_for(compile):
    class Layer:
        pass

    layer = Layer()
    f = compile(lambda x: x * 2 if hasattr(layer, "doubles") else x)
    yield f(X)
    Layer.doubles = True
    yield f(X)


@scenario
def an_attribute_that_is_tried(compile):
    layer = types.SimpleNamespace()

    def f(x):
        try:
            return x * layer.factor
        except AttributeError:
            return x

    f = compile(f)
    yield f(X)
    layer.factor = 3.0
    yield f(X)


@scenario
def what_an_operator_of_the_class_reads(compile):
    class Factor:
        value = 2.0

        def __rmul__(self, x):
            return x * self.value

    factor = Factor()
    f = compile(lambda x: factor.__rmul__(x))
    yield f(X)
    Factor.value = 3.0
    yield f(X)


@scenario
def what_the_making_of_an_object_reads(compile):
    class Factor:
        def __init__(self):
            self.value = settings["factor"]

    settings = {"factor": 2.0}
    f = compile(lambda x: x * Factor().value)
    yield f(X)
    settings["factor"] = 3.0
    yield f(X)


@scenario
def methods_of_a_copied_object(compile):
    class Layer:
        def __init__(self, factor):
            self.factor = factor

        def apply(self, x):
            return x * self.factor

    Layer.apply = compile(Layer.apply)
    layer = Layer(2.0)
    yield layer.apply(X)
    for other in (copy.copy(layer), copy.deepcopy(layer)):
        other.factor = 3.0
        yield other.apply(X), layer.apply(X)


# ---------------------------------------------------------------------------------------------------- containers


@scenario
def a_deque(compile):
    values = collections.deque([1.0, 2.0])
    f = compile(lambda x: x * values[0])
    yield f(X)
    values.rotate(1)
    yield f(X)


@scenario
def the_order_of_a_dict(compile):
    values = {"a": 1.0, "b": 2.0}
    f = compile(lambda x: x * next(iter(values.values())))
    yield f(X)
    values["a"] = values.pop("a")
    yield f(X)


@scenario
def the_order_of_layers(compile):
    net = nn.Sequential(nn.ReLU(), nn.LeakyReLU(-1.0))
    f = compile(net)
    yield f(X)
    net._modules["0"] = net._modules.pop("0")
    yield f(X)


@scenario
def a_view_of_a_dict(compile):
    values = {"factor": 2.0}
    view = types.MappingProxyType(values)
    f = compile(lambda x: x * view["factor"])
    yield f(X)
    values["factor"] = 3.0
    yield f(X)


@scenario
def what_a_weak_reference_leads_to(compile):
    class Settings:
        pass

    settings = Settings()
    settings.factor = 2.0
    reference = weakref.ref(settings)
    f = compile(lambda x: x * reference().factor)
    yield f(X)
    settings.factor = 3.0
    yield f(X)


# ------------------------------------------------------------------------------------------- modules and tensors


@scenario
def a_forward_that_is_replaced(compile):
    net = nn.Sequential(nn.ReLU())
    f = compile(net)
    yield f(X)
    net[0].forward = lambda x: x * 3
    yield f(X)
    del net[0].forward
    yield f(X)


@scenario
def one_hook_for_another(compile):
    net = nn.Sequential(nn.ReLU())
    f = compile(net)
    yield f(X)
    with net.register_forward_hook(lambda module, args, result: result * 2):
        yield f(X)
    with net.register_forward_hook(lambda module, args, result: result * 3):
        yield f(X)


@scenario
def a_hook_on_a_gradient(compile):
    weight = nn.Parameter(ingot.ones(3))

    def step(x):
        weight.grad = None
        (weight * x).sum().backward()
        return weight.grad * 1

    f = compile(step)
    yield f(X)
    with weight.register_hook(lambda gradient: gradient * 10):
        yield f(X)
    yield f(X)


@scenario
def whether_there_is_a_gradient(compile):
    weight = nn.Parameter(ingot.ones(3))
    f = compile(lambda x: x * 2 if weight.grad is None else x * weight.grad)
    yield f(X)
    weight.grad = ingot.full((3,), 5.0)
    yield f(X)
    weight.grad = None
    yield f(X)


@scenario
def a_view_that_is_left_behind(compile):
    whole = ingot.ones(4)
    view = whole[:3]
    f = compile(lambda x: x + view)
    yield f(X)
    whole.data = ingot.zeros(4)
    yield f(X), view


@scenario
def one_tensor_given_twice(compile):
    f = compile(lambda a, b: a * 2 if a is b else a - b)
    yield f(X, X * 2)
    yield f(X, X)
    yield f(X, b=X)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_calls_follow_what_the_function_reads(scenario):
    eager = [plain(x) for x in scenario(lambda function: function)]
    assert [plain(x) for x in scenario(ingot.compile)] == eager
    assert len(eager) > 1


# ------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "iterator", [iter([1.0, 2.0]), (x for x in (1.0, 2.0)), map(float, (1, 2)), zip((1.0,), (2.0,), strict=True)]
)
def test_an_iterator_is_refused_with_the_line(iterator):
    @ingot.compile
    def f(x):
        return x * next(iterator)

    with pytest.raises(CaptureError, match=r"reads from an iterator[\s\S]*return x \* next\(iterator\)"):
        f(X)
