"""The checks, in the order of a push: address, login, transfers. A later one needs what an earlier one found."""
