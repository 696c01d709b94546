"""Networks as open_clip makes them, and the devices that they run on."""
