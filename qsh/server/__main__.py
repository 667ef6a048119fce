"""`python -m qsh.server` is qshd."""

import sys

from qsh.server.main import main

sys.exit(main())
