"""Graphs as readable Python source that runs with NumPy alone."""
