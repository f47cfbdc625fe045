"""The benchmark: an artifact beside its peers and beside what the machine can do at most."""
