"""The greedy with its guarantee and what it stands on; Algorithm 1 as printed."""
