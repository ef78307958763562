"""`python -m pytest_hfmodels` is `hfmodels`, for an environment whose scripts are not on the path."""

from pytest_hfmodels.commands.cli import main

raise SystemExit(main())
