"""The grammar of account names."""

import re

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+$-]{0,127}")
