"""What runs in which type: the exported graph in half, or in INT8 by measured ranges."""
