"""The integer program that the general solvers share: columns, duals, reduction, tolerances, answers."""
