"""From an ended job to its result: the archive read member by member, outputs, and what went wrong in words."""
