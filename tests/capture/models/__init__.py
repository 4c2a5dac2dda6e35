"""Models with control flow that data decide, each with example inputs and fresh ones of other sizes."""
