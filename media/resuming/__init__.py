"""A long video is made segment by segment, and what is finished is kept."""
