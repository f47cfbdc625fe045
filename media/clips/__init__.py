"""Clips of VapourSynth: any frame, in any order."""
