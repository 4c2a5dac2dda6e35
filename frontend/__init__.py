"""Tensors, dispatch, the tape, modules, random numbers, capture and the callable program."""
