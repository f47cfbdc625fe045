"""Stills: read and written, pairs of them, and folders that are filled up."""
