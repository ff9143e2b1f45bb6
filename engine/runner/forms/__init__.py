"""Forms of cache as a model's blocks hold them: one file a form, which alone knows its bytes."""
