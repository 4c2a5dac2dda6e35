"""From a traced model to ONNX Runtime: the whole way."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ExportError
from ingot.ir.families import composite, elementwise
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.registry import unregister
from onnx_runs import record, run


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(16 * 2 * 2, 10)

    def forward(self, x):
        x = self.pool(self.bn1(self.conv1(x)).relu())
        x = self.conv2(x).relu()
        x = self.drop(x.reshape(x.shape[0], -1))
        return self.fc(x)


class Attention(nn.Module):
    """One head over sequences of any length, in front of it an embedding, behind it a layer norm."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)

    def forward(self, ids):
        x = self.embed(ids)
        scores = self.query(x) @ self.key(x).permute(0, 2, 1) / 4.0
        mixed = scores.softmax(-1) @ self.value(x)
        return {"tokens": self.norm(x + mixed), "pooled": (x.mean(1), mixed.amax(1))}


def shake(model):
    """Batch-norm statistics that differ from 0 and 1."""
    rng = np.random.default_rng(5)
    for name, buffer in model.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.copy_(ingot.tensor(rng.random(tuple(buffer.shape), np.float32) + 0.5))


@pytest.fixture
def convolutional():
    ingot.manual_seed(3)
    model = Convolutional()
    shake(model)
    return model.eval()


def traced(model):
    return ingot.jit.trace(model, ingot.zeros(3, 1, 8, 8), dynamic_shapes={0: "batch"})


@pytest.mark.parametrize("opset", (13, 17, 20, 21))
def test_a_convolutional_net(convolutional, opset):
    model = ingot.onnx.to_model(traced(convolutional), opset_version=opset)
    for batch in (1, 3, 64):
        x = np.random.default_rng(batch).random((batch, 1, 8, 8), np.float32)
        found, how = run(model, {"x": x})
        with ingot.no_grad():
            expected = convolutional(ingot.tensor(x)).numpy()
        assert how == "runtime"
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_a_convolutional_net_reads_as_it_was_written(convolutional):
    graph = ingot.onnx.to_model(traced(convolutional)).graph
    assert [node.name for node in graph.node] == [
        "conv1/Conv",
        "bn1/BatchNormalization",
        "Relu",
        "pool/MaxPool",
        "conv2/Conv",
        "Relu_1",
        "Reshape",
        "fc/Gemm",
    ]
    parameters = {key for key in convolutional.state_dict() if not key.endswith("num_batches_tracked")}
    assert parameters <= {tensor.name for tensor in graph.initializer}
    assert graph.node[0].doc_string.endswith("x = self.pool(self.bn1(self.conv1(x)).relu())")
    assert graph.node[0].doc_string.startswith("test_trace.py:")


def test_attention_over_sequences_of_any_length():
    ingot.manual_seed(4)
    net = Attention()
    program = ingot.jit.trace(net, ingot.zeros(2, 5, dtype=ingot.int64), dynamic_shapes={0: "batch", 1: "time"})
    for opset in (13, 20):
        model = ingot.onnx.to_model(program, opset_version=opset)
        assert [value.name for value in model.graph.output] == ["tokens", "pooled_0", "pooled_1"]
        for batch, time in ((1, 1), (3, 7), (2, 64)):
            ids = np.random.default_rng(time).integers(0, 20, (batch, time))
            found, _ = run(model, {"ids": ids})
            with ingot.no_grad():
                expected = net(ingot.tensor(ids))
            for a, b in zip(found, (expected["tokens"], *expected["pooled"]), strict=True):
                np.testing.assert_allclose(a, b.numpy(), atol=1e-5)


def test_training_mode_is_refused(convolutional):
    convolutional.train()
    with pytest.raises(ExportError, match="updates its state") as caught:
        ingot.onnx.to_model(traced(convolutional))
    assert "bn1.running_mean" in str(caught.value) and "rng" in str(caught.value)


def test_a_saved_and_loaded_program_exports_to_the_same_file(convolutional, tmp_path):
    program = traced(convolutional)
    program.save(tmp_path / "net.ingot")
    program_again = ingot.load(tmp_path / "net.ingot")
    ingot.onnx.export(program, tmp_path / "a.onnx")
    ingot.onnx.export(program_again, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_users_op_is_exported_by_its_rule():
    """A rule asks for what it needs by name; a composite without a rule is opened."""
    elementwise(
        "onnxtest::shrink(input: Tensor, *, lambd: float = 0.5) -> Tensor",
        scalar=lambda s, x, lambd: s.where(x > lambd, x - lambd, s.where(x < -lambd, x + lambd, 0.0)),
        promotion="float",
        onnx=lambda lambd, E, input: E.Shrink(input, lambd=lambd, bias=lambd),
    )

    @composite("onnxtest::twice(input: Tensor) -> Tensor")
    def twice(F, input):
        return F.mul(input, 2.0)

    try:
        graph = parse(
            """graph @forward(%x : f32[N]) -> (f32[N]):
  %a : f32[N] = onnxtest::shrink[lambd=0.25](%x)
  %b : f32[N] = onnxtest::twice(%a)
  return (%b)
"""
        )
        model = ingot.onnx.to_model(record(graph))
        assert [node.op_type for node in model.graph.node] == ["Shrink", "Mul"]
        x = np.linspace(-1, 1, 9, dtype=np.float32)
        expected, _ = interpret(graph, [x])
        np.testing.assert_allclose(run(model, {"x": x})[0][0], expected[0], atol=1e-6)
    finally:
        unregister("onnxtest::shrink")
        unregister("onnxtest::twice")
