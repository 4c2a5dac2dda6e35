"""The whole path on real data: train, trace, save, run without this file, export to ONNX, and compare.

    python examples/digits.py [--output DIR] [--epochs N]

A small convolutional net learns scikit-learn's handwritten digits (1,797 scans of 8x8 pixels, Alpaydin & Kaynak 1998).
It is traced with a dynamic batch size, saved as one file, run by a new process that cannot import this module,
exported to ONNX and run by ONNX Runtime. One table says how well all of them agree.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ingot as torch
import matplotlib
import numpy as np
import onnxruntime
from ingot import nn
from ingot.nn import functional as F
from ingot.utils.data import DataLoader, TensorDataset
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

matplotlib.use("Agg")

BATCH = 64


class DigitsNet(nn.Module):
    """Two convolutions with batch normalisation and pooling, then two linear layers with dropout between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(32 * 2 * 2, 64)
        self.dropout = nn.Dropout(0.25)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [batch, 10] of images [batch, 1, 8, 8]."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(self.dropout(x))


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, test images and labels; one in five scans is held back."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    split = train_test_split(
        images, digits.target.astype(np.int64), test_size=0.2, stratify=digits.target, random_state=0
    )
    return split[0], split[2], split[1], split[3]


def train(model: DigitsNet, images: np.ndarray, labels: np.ndarray, epochs: int, console: Console) -> None:
    """Train with AdamW, showing the loss of every epoch."""
    loader = DataLoader(TensorDataset(torch.tensor(images), torch.tensor(labels)), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=epochs * len(loader), loss=float("nan"))
        for _ in range(epochs):
            for x, y in loader:
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                progress.update(task, advance=1, loss=loss.item())


def save_mistakes(path: Path, images: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> int:
    """Draw the misclassified digits; returns how many there are."""
    from matplotlib import pyplot

    wrong = np.flatnonzero(predicted != labels)
    columns = 5
    rows = max(1, -(-len(wrong) // columns))
    figure, axes = pyplot.subplots(rows, columns, figsize=(1.6 * columns, 1.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, wrong, strict=False):
        axis.imshow(images[i, 0], cmap="gray_r")
        axis.set_title(f"{labels[i]} read as {predicted[i]}", fontsize=8)
    figure.suptitle(f"{len(wrong)} of {len(labels)} misclassified", fontsize=9)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return len(wrong)


def run_elsewhere(program: Path, images: np.ndarray) -> np.ndarray:
    """Run a saved program in a new process, in an empty folder, without this module."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(__file__).with_name("run_saved.py"), folder)
        np.save(Path(folder) / "inputs.npy", images, allow_pickle=False)
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        environment.pop("PYTHONPATH", None)
        command = [sys.executable, "run_saved.py", str(program.resolve()), "inputs.npy", "outputs.npy"]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        found: np.ndarray = np.load(Path(folder) / "outputs.npy", allow_pickle=False)
        return found


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """max|a - b| / max(1, max|b|)."""
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def median_times(subjects: dict[str, Callable[[], object]], rounds: int = 60) -> dict[str, float]:
    """Median milliseconds of each subject, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, run in subjects.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def onnx_session(path: Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime on two threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def size(path: Path) -> str:
    """A file's size for people."""
    return f"{path.stat().st_size / 1024:.1f} KiB"


def main() -> None:
    """The whole path, and the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder for the files that are written")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    program_path, onnx_path, picture = (
        options.output / name for name in ("digits.ingot", "digits.onnx", "mistakes.png")
    )
    console = Console()

    torch.manual_seed(0)
    train_images, train_labels, test_images, test_labels = load_data()
    model = DigitsNet()
    train(model, train_images, train_labels, options.epochs, console)

    model.eval()
    test = torch.tensor(test_images)
    with torch.no_grad():
        eager = model(test).numpy()
    predicted = eager.argmax(axis=1)
    mistakes = save_mistakes(picture, test_images, test_labels, predicted)
    accuracy = 1.0 - mistakes / len(test_labels)

    program = torch.jit.trace(model, test[:BATCH], dynamic_shapes={"images": {0: "batch"}})
    program.save(program_path)
    compiled = program(test).numpy()
    elsewhere = run_elsewhere(program_path, test_images)
    torch.onnx.export(program, onnx_path)
    session = onnx_session(onnx_path)
    (onnx_outputs,) = session.run(None, {"images": test_images})

    batch = test[:BATCH]
    array = test_images[:BATCH]

    def run_eager() -> torch.Tensor:
        with torch.no_grad():
            return model(batch)

    times = median_times(
        {
            "eager": run_eager,
            "compiled": lambda: program(batch),
            "onnx": lambda: session.run(None, {"images": array}),
        }
    )

    table = Table(title="Handwritten digits, from training to a file that runs anywhere")
    table.add_column("step")
    table.add_column("result", justify="right")
    table.add_row("accuracy on the held-back test set", f"{accuracy:.2%} ({mistakes} of {len(test_labels)} wrong)")
    table.add_section()
    table.add_row("largest difference: compiled / eager", f"{difference(compiled, eager):.1e}")
    table.add_row("largest difference: loaded in a new process / eager", f"{difference(elsewhere, eager):.1e}")
    table.add_row("largest difference: ONNX Runtime / eager", f"{difference(onnx_outputs, eager):.1e}")
    table.add_section()
    table.add_row(f"program file ({program_path})", size(program_path))
    table.add_row(f"ONNX file ({onnx_path})", size(onnx_path))
    table.add_row("picture of the misclassified digits", str(picture))
    table.add_section()
    table.add_row(f"eager, a batch of {BATCH}", f"{times['eager']:.2f} ms")
    table.add_row(f"compiled to NumPy, a batch of {BATCH}", f"{times['compiled']:.2f} ms")
    table.add_row(f"ONNX Runtime, a batch of {BATCH}", f"{times['onnx']:.2f} ms")
    console.print(table)

    if accuracy < 0.97 or difference(elsewhere, eager) > 1e-5 or difference(onnx_outputs, eager) > 1e-4:
        sys.exit("the demo did not reach what it promises: see the table")


if __name__ == "__main__":
    main()
