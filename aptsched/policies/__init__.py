"""Policies, one a file: what each of them sees is a `View`, what it says a `Plan`."""
