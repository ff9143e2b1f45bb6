"""The serving study: the same requests for every policy, live or on a computed clock; tables and files."""
