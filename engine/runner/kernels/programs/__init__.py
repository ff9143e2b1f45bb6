"""What runs on the device, in Triton: each file a kernel or two, with its arithmetic and no decisions."""
