"""Attention of decodes on a CPU by loops that numba compiles, on torch's own threads."""
