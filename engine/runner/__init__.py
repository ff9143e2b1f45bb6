"""Runs a batch on a real model: layout, attention over the paged cache, sampling."""
