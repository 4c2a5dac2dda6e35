"""Runs a saved program on arrays from a file, in a process that knows nothing of the model.

    python run_saved.py PROGRAM INPUTS.npy OUTPUTS.npy

It imports Ingot and NumPy alone; that the module which defined the model cannot be found here is checked first.
"""

import importlib.util
import sys

import ingot
import numpy as np


def main(program_path: str, inputs_path: str, outputs_path: str) -> None:
    """Load the program, run it on all inputs at once, and write what it answers."""
    if importlib.util.find_spec("digits") is not None:
        sys.exit("the model's module can be imported here; this process should not see it")
    program = ingot.load(program_path)
    outputs = program(np.load(inputs_path, allow_pickle=False))
    np.save(outputs_path, outputs.numpy(), allow_pickle=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
