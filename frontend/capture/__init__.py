"""Turning the execution of a program into a graph."""
