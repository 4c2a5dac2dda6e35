"""What turns graphs into something that runs: one folder per backend, each registered by its import here."""

from . import numpy, reference

__all__ = ["numpy", "reference"]
