"""Live streams: a deadline for every frame."""
