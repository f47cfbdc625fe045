"""What a device could reach at best and is expected to: from the graph alone, without the device."""
