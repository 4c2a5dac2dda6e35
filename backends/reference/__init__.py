"""The interpreter as the yardstick that other backends are compared with."""
