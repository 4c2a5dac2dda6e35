"""From an optimised graph to something that runs; one folder per target."""
