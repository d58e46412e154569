"""The gunicorn worker; README.md says what it replaces of gunicorn and why.

worker · signals · unsupported_settings         gunicorn's side: a process, its signals, its settings
listener · open_connections · cpu_affinity      sockets, connections per client, cores
pool · places                                   threads, and fair shares of those that wait
connection · reader · head · request_body       a connection, its bytes, its request
response · error_response · exchange            the response, by the application or by the server
access_log                                      a line for each exchange
"""
