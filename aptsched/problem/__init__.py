"""The batch-composition problem, its answers and what certifies them; instances and decisions as files."""
