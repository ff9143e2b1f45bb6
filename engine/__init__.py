"""The serving loop, the block pool, and the executors that run a batch.

Imported before torch, it lets torch's threads on a CPU wait without spinning for long. GNU OpenMP reads when it is
loaded how often a waiting thread looks before it sleeps; by default that is some milliseconds, and on a machine with
other work the thread that spins keeps off the one it waits for. The number set here is some 30 microseconds, about as
long as waits are on a quiet machine.
"""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
