"""Forms of cache by kernels in Triton: any mix of decodes, chunks and prefills in one launch, without gathers."""
