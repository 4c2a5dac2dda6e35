"""PyTorch's eager training steps, in a process of its own: a step for each line that comes in, answered by a line.

python torch_step.py "transformer"
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from step_nets import NETS, batch_for, training_step


def main(net: str) -> None:
    """Serve steps until the input ends."""
    torch.manual_seed(0)
    model = NETS[net](torch)
    step = training_step(torch, model, torch.optim.AdamW(model.parameters(), lr=1e-3))
    x, y = (torch.as_tensor(a) for a in batch_for(net, np.random.default_rng(0)))
    x = x.float() if x.is_floating_point() else x
    for _ in sys.stdin:
        step(x, y)
        print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
