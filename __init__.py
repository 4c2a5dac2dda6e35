"""Ingot: a tensor compiler. Eager in, solid out."""

__version__ = "0.1.0"
