"""The pass manager, its instruments, the rewrite engine, and one file per pass."""
