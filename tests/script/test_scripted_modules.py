"""What `jit.script` makes of a module: one state with the original, part of other modules, saved as it is."""

from __future__ import annotations

import copy
import io

import ingot
import pytest
from ingot import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.bn, self.scale = nn.Linear(3, 3), nn.BatchNorm1d(3), 2.0

    def forward(self, x):
        if x.sum() > 0:
            x = x * self.scale
        return self.bn(self.fc(x))


class Net(nn.Module):
    def __init__(self, wrap=lambda module: module):
        super().__init__()
        self.block, self.head = wrap(Block()), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.block(x))


@pytest.fixture
def nets():
    """The same network, with a scripted part and without."""
    net, scripted = Net(), Net(ingot.jit.script)
    scripted.load_state_dict(net.state_dict())
    return net, scripted


def inputs():
    x = ingot.randn(4, 3)
    return x.abs(), -x.abs()


def test_a_scripted_part_is_trained_and_switched_with_the_whole(nets):
    net, scripted = nets
    assert list(net.state_dict()) == list(scripted.state_dict())
    for mode in (True, False, True):
        for x in inputs():
            found = []
            for whole in nets:
                whole.train(mode).zero_grad()
                optimizer = ingot.optim.SGD(whole.parameters(), lr=0.1)
                loss = whole(x).square().sum()
                loss.backward()
                optimizer.step()
                found.append(loss.detach())
            assert ingot.allclose(*found, rtol=1e-4)
        assert scripted.block.training is scripted.block.scripted.original.training is mode
    for a, b in zip(net.state_dict().values(), scripted.state_dict().values(), strict=True):
        assert ingot.allclose(a, b, atol=1e-5)


def test_the_whole_is_traced_and_scripted_with_the_parts_branches(nets):
    net, scripted = (whole.eval() for whole in nets)
    program = ingot.jit.trace(scripted, ingot.ones(4, 3), dynamic_shapes={0: "rows"})
    assert {key for key in program.state if key.startswith("block.")} >= {"block.fc.weight", "block.bn.running_mean"}
    for x in inputs():
        assert ingot.allclose(program(x[:2]), net(x[:2])) and ingot.allclose(ingot.jit.script(scripted)(x), net(x))


def test_a_copy_and_a_conversion_go_with_the_whole(nets):
    _, scripted = (whole.eval() for whole in nets)
    other = copy.deepcopy(scripted)
    with ingot.no_grad():
        other.block.fc.weight.zero_()
    x = inputs()[0]
    assert not ingot.allclose(other(x), scripted(x))
    assert ingot.allclose(other(x), other.head(other.block.scripted.original(x)))
    assert scripted.double()(x.double()).dtype is ingot.float64 and scripted.block.fc.weight.dtype is ingot.float64


def test_attributes_are_those_of_the_original():
    whole = nn.Sequential(ingot.jit.script(Block().eval()), nn.Identity())
    scripted, (x, _) = whole[0].scripted, inputs()
    for holder in (scripted, whole[0]):
        holder.scale += 1.0
        assert scripted.original.scale == holder.scale
        assert ingot.allclose(whole(x), scripted.original(x)) and ingot.allclose(scripted(x), scripted.original(x))
    whole[0].fc = nn.Linear(3, 3)
    assert scripted.original.fc is whole[0].fc and ingot.allclose(whole(x), scripted.original(x))
    assert scripted.train() is scripted and whole[0].training and whole[0].code == scripted.code
    assert ingot.jit.script(whole[0]) is scripted


def test_saved_frozen_and_optimised_as_it_is():
    scripted = ingot.jit.script(Block()).eval()
    x, y = inputs()
    wanted = scripted(x), scripted(y)
    file = io.BytesIO()
    ingot.jit.save(scripted, file)
    file.seek(0)
    frozen = ingot.jit.freeze(scripted)
    for program in (ingot.jit.load(file), frozen, ingot.jit.optimize_for_inference(scripted)):
        assert ingot.allclose(program(x), wanted[0], atol=1e-5) and ingot.allclose(program(y), wanted[1], atol=1e-5)
    assert not frozen.state
    part = nn.Sequential(scripted)[0]
    for one in (scripted, part, frozen, ingot.jit.script(lambda x: x)):
        assert isinstance(one, ingot.jit.ScriptModule)
    assert not isinstance(Block(), ingot.jit.ScriptModule)


def test_a_module_is_no_program_before_it_is_scripted():
    with pytest.raises(ingot.jit.Error, match="a Block is no captured program"):
        ingot.jit.freeze(Block())


def test_exported_to_onnx_as_it_is():
    scripted = ingot.jit.script(Block()).eval()
    scripted(inputs()[0])
    model = ingot.onnx.to_model(scripted)
    assert "If" in [node.op_type for node in model.graph.node]
