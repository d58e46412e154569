"""The management API at `/api/v1/`, by a package for each noun.

`urls`, `schema`, `docs`   the paths, and what tells about them
`repositories`, `accounts`, `access_tokens`, `rules`, `policies`, `proxies`, `webhooks`, `collection`, `audit`,
`configuration`, `about`   the views, with the JSON of each noun
`rows`                                  what the views of rules, policies and webhooks have in common
`visitor`, `administration`             rights: by access rules, and by permissions of administrators
`authentication`, `session_login`, `throttling`   who asks, and how often
`problems`, `etags`, `paging`, `json_body`, `change_log`   errors, conditions, lists, bodies, the history of changes
"""
