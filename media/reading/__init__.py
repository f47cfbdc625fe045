"""Videos are opened, demuxed, cut into segments and decoded."""
