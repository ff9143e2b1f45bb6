"""What stands between the host and the device."""
