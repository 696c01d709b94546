"""open_clip's networks, and the devices that they run on."""
