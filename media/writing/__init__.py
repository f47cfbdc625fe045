"""Videos are encoded and muxed, with all that stands beside the pictures."""
