"""Layers and losses that models are written with."""
