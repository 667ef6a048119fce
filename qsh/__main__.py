"""`python -m qsh` is the client."""

import sys

from qsh.client.main import main

sys.exit(main())
