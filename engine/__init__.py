"""The serving loop, the block pool, and the executors that run a batch."""
