"""Proofs of the guarantees: theorems, machine-checked; the certificate checker; worst cases."""
