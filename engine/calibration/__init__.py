"""Calibration of a model on a device: iteration times are measured, fitted, saved, and compared with later runs."""
