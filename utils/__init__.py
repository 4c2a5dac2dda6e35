"""What training loops are written with, beside layers and optimisers."""

from . import data

__all__ = ["data"]
