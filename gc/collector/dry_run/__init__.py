"""What a run would remove, without removing it.

`forecast`  walks the rows as a run would; `pk_set` and `pk_times` remember millions of them in little memory
`results`   one thing that would go, and why
`estimate`  what the next run would remove, for the admin
"""
