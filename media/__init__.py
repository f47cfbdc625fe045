"""Stills, folders of stills and videos: decoded, filled up with frames, encoded. Needs PyAV."""
