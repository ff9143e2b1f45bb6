"""Several workers on one computed clock, and routers that send arriving requests to them."""
