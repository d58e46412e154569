"""Import the file of docker_auth (https://github.com/cesanta/docker_auth): users, their labels, and `acl`.

`document`     the file as its server reads it: users, entries with their lines, and what is not taken
`patterns`     the patterns of Go's path.Match, as tokens; tokens as patterns of rules
`expressions`  regular expressions of Go, as tokens
`translation`  entries as rules with an order, which allow the same to everybody
`writing`      writes accounts, groups and rules, or prints them as a configuration file
"""
