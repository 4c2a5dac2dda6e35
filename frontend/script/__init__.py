"""`jit.script`: Python's control flow rewritten so that a capture can follow it."""
