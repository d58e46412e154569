"""Let everything happen at once for long, and explain every answer that is not 2xx: `python -m bench.soak`.

ledger   what was answered, and why; what nothing explains
world    the server, what is published on it, who may do what at this moment
honest   clients that push, pull, mount, delete, list, log in
events   collection, changes of rights, reloads, killed workers, restarts
trend    what grows for ever, and what fills up
samples  memory, descriptors, threads and rows, which have to stay flat
run      all of it together, and what is checked in the end
"""
