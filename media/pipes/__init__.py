"""Videos that come out of a pipe or go into one, as y4m."""
