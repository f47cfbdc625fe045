"""The proof that engines run on a GPU: on the one that is here, part by part."""
