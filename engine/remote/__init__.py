"""A server elsewhere, measured by its clients."""
