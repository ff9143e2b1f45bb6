"""Forms of cache in a model's blocks: one file a form, and only that file knows the form's bytes."""
