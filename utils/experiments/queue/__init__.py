"""The queue does the runs that are due, in an order of value, one process per core, behind all other work.

``command`` is what the command line calls, and ``control`` keeps the processes going. ``plan`` and
``estimates`` decide, as pure functions, what comes next and how long it takes. ``worker`` and ``timing`` run
in processes of their own, with the code that ``export`` has laid down; ``priority`` keeps them out of the way
of others. ``status`` puts all into words.
"""
