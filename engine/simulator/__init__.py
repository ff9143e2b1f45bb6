"""Computes how long iterations take, from models' sizes and GPUs' data sheets, published fits, or calibrations."""
