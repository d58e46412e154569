"""Limits on password guessing.

`throttle`        limit of failed logins by account and network; `failure_memory` caches what can't be stored
`known_networks`  networks of an account, in which failures of others don't lock it out
`login_rate`      logins per minute and network
`password_queue`  number of concurrent password checks
"""
