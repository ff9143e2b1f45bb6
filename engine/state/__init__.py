"""Requests, blocks and the pool: what is held while requests are served."""
