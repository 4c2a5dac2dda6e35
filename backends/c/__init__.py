"""Graphs as C."""
