"""Programs captured in training and in evaluation, and the choice at each call."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, CaptureError
from ingot.jit import trace

BOTH = ("train", "eval")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.bn = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.bn(self.fc(x)))


def array(*shape, seed=0):
    return ingot.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def make():
    ingot.manual_seed(0)
    return Net()


@pytest.mark.parametrize("loaded", [False, True])
def test_both_modes_equal_eager_call_by_call(tmp_path, loaded):
    net = make()
    program = trace(net, array(3, 4), dynamic_shapes={0: "b"}, modes=BOTH)
    assert net.training
    if loaded:
        program.save(tmp_path / "p.ingot")
        program = ingot.load(tmp_path / "p.ingot")
    key = ingot.get_rng_state()
    for step, training in enumerate((True, False, True, True, False)):
        x = array(5 + step, 4, seed=step)
        net.train(training)
        np.testing.assert_allclose(program(x, training=training).numpy(), net(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    for name in ("bn.running_mean", "bn.running_var", "bn.num_batches_tracked"):
        np.testing.assert_allclose(program.state[name].numpy(), net.state_dict()[name].numpy(), rtol=1e-5)
    ingot.set_rng_state(key)


def test_state_is_updated_in_training_alone():
    program = trace(make(), array(3, 4), modes=BOTH)
    before = {key: value.tolist() for key, value in program.state.items()}
    program(array(3, 4, seed=1), training=False)
    assert {key: value.tolist() for key, value in program.state.items()} == before
    program(array(3, 4, seed=1), training=True)
    changed = {key for key, value in program.state.items() if value.tolist() != before[key]}
    assert changed == {"bn.running_mean", "bn.running_var", "bn.num_batches_tracked", "rng"}


def test_the_default_is_the_modules_mode_and_can_be_set(tmp_path):
    net = make().eval()
    program = trace(net, array(3, 4), modes=BOTH)
    x = array(3, 4, seed=3)
    assert program.training is False
    np.testing.assert_allclose(program(x).numpy(), net(x).detach().numpy(), rtol=1e-5)
    assert program.train() is program
    assert program.training is True
    assert not np.allclose(program(x).numpy(), net(x).detach().numpy())
    program.save(tmp_path / "p.ingot")
    assert ingot.load(tmp_path / "p.ingot").training is True
    assert program.eval().training is False


def test_equal_modes_make_one_graph():
    program = trace(nn.Linear(2, 2), ingot.ones(1, 2), modes=BOTH)
    assert not any(node.op.name == "prim::If" for node in program.graph.nodes())
    assert ingot.equal(program(ingot.ones(1, 2), training=True), program(ingot.ones(1, 2), training=False))


def test_modes_and_flags_of_modules_come_back():
    net = make()
    net.bn.eval()
    trace(net, array(3, 4), modes=BOTH)
    assert (net.training, net.bn.training, net.drop.training) == (True, False, True)
    net.fail = True

    def broken(x):
        raise ValueError("no")

    net.fc.forward = broken
    with pytest.raises(ValueError, match="no"):
        trace(net, array(3, 4), modes=BOTH)
    assert (net.training, net.bn.training, net.drop.training) == (True, False, True)


def test_one_mode_alone_is_captured_in_it():
    net = make()
    program = trace(net, array(3, 4), modes=("eval",))
    assert net.training
    assert not program.graph.updates
    with pytest.raises(ArgumentError, match="captured in one mode"):
        program.eval()
    with pytest.raises(ArgumentError, match="captured in one mode"):
        _ = program.training


def test_a_program_as_a_module_follows_the_modes_of_its_parent():
    net, x = make(), array(3, 4, seed=2)
    program = trace(net, array(3, 4), modes=BOTH)
    model = nn.Sequential(program, nn.Identity())
    assert model[0].training
    model.eval()
    net.eval()
    np.testing.assert_allclose(model(x).detach().numpy(), net(x).detach().numpy(), rtol=1e-5)
    before = model.state_dict()["0.bn.running_mean"].tolist()
    model.train()
    model(x)
    assert model.state_dict()["0.bn.running_mean"].tolist() != before


def test_modes_with_several_entry_points():
    class Two(Net):
        def features(self, x):
            return self.bn(self.fc(x))

    ingot.manual_seed(0)
    net = Two()
    program = trace(net, {"forward": array(3, 4), "features": array(3, 4)}, modes=BOTH)
    x = array(3, 4, seed=5)
    net.train()
    np.testing.assert_allclose(program.features(x, training=True).numpy(), net.features(x).detach().numpy(), rtol=1e-5)
    net.eval()
    np.testing.assert_allclose(program.features(x, training=False).numpy(), net.features(x).detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(program(x, training=False).numpy(), net(x).detach().numpy(), rtol=1e-5)


def test_modes_that_do_not_fit_each_other_are_refused():
    class Odd(nn.Module):
        def forward(self, x):
            return (x, x) if self.training else x

    class Wider(nn.Module):
        def forward(self, x):
            return ingot.cat([x, x]) if self.training else x

    with pytest.raises(CaptureError, match="built differently"):
        trace(Odd(), ingot.ones(2), modes=BOTH)
    with pytest.raises(CaptureError, match="gives other values in training"):
        trace(Wider(), ingot.ones(2), modes=BOTH)
    with pytest.raises(ArgumentError, match="parameter named training"):
        trace(lambda x, training: x, (ingot.ones(2), True), modes=BOTH)
    with pytest.raises(ArgumentError, match="modes is"):
        trace(make(), array(3, 4), modes=("test",))
