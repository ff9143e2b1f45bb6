"""Exact answers to the batch-composition problem, all of one call signature."""
