"""Everything before the first request, and the reload.

prepare             the order of a start; errors in one line; the message of the first start
folders             writable folders
old_database        a database older than its storage
reload · watch      import at SIGHUP, and after a change of the file
command_line · commands   `manage.py`
"""
