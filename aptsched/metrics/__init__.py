"""Latencies, attainment, goodput and fairness, from the records of requests."""
