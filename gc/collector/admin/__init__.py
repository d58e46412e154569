"""The admin of runs, their findings and the scrub.

`runs`       requests, shows and withdraws runs, and applies plans
`findings`   a dry run as a plan: read by reason, with rows excluded
`scrub`      what the scrub does and where it is
`forms`      the form that requests a run
`read_only`  the base class
"""

from collector.admin import findings, runs, scrub

__all__ = ["findings", "runs", "scrub"]
