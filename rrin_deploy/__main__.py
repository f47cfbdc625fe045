"""`python -m rrin_deploy`, the same as `rrin-deploy`."""

from rrin_deploy.cli import main

main()
