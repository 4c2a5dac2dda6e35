"""What training loops are written with, beside layers and optimisers."""
