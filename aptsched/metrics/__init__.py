"""What the records of requests say: latencies, attainment, goodput, fairness."""
