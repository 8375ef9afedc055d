"""The queue: the runs that are due, in an order of value, one process per core, behind all other work of the machine.

``command`` is what the command line calls; ``control`` keeps the processes going; ``plan`` and ``estimates`` decide, as pure
functions, what comes next and how long it takes; ``worker`` and ``timing`` run in processes of their own, from the code that
``export`` has laid down; ``priority`` keeps them out of the way; ``status`` puts all into words.
"""
