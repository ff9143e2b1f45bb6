"""Problems whose values floats can hardly tell apart: sums that cancel, and the smallest of all floats."""

from __future__ import annotations

from aptsched import BatchProblem

CANCELLING = BatchProblem([[-1e20, 1.0, 5.0]], [[0, 1, 2]], 2, required=[True])
SUBNORMAL = BatchProblem([[5e-324], [-1e-310], [-1e-310]], [[3], [2], [4]], 9)
DENORMAL = BatchProblem([[5e-324], [0.0]], [[94], [43]], 97)
