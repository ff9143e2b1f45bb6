"""Several workers on one computed clock, and who sends arriving requests to them."""
