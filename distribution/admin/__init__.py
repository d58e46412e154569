"""Admin pages of what pushes have stored; a deletion calls the domain verb.

`read_only`   the base class of every page
`deletable`   the base class of rows that can be deleted
`cells`       HTML for the values of lists and pages
`totals`      counts and sums as subqueries
"""

from distribution.admin import blob, manifest, repository, tag, upload

__all__ = ["blob", "manifest", "repository", "tag", "upload"]
