"""What a run would remove, without removing it.

`forecast`  computes it from the rows; `pk_set` and `pk_times` keep millions of primary keys in little memory
`results`   one finding and its reason, and the rows that a dry run of the admin keeps
"""
