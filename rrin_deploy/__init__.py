"""rrin-deploy's command line; the rooms beside it do the work."""

__version__ = "0.1.0"
