"""What bounds the guessing of passwords.

`throttle`        failed logins of an account and of a network; `failure_memory` what can't be stored now
`known_networks`  where an account logs in from, which others' failures do not lock out
`login_rate`      logins a minute of an address
`password_queue`  how many hashes are computed at once
"""
