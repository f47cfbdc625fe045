"""What a device could reach at best, and is expected to: from the graph, without the device."""
