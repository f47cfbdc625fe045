"""The segments of a video are made on the nodes of a Ray cluster."""
