"""Graphs as CUDA kernels."""
