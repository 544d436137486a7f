"""Downloaded files: kept on disk for the check, decoded in a process of their own, compared with what was asked."""
