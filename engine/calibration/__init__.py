"""How long iterations take on a device: measured, fitted, kept, held against."""
