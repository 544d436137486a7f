"""The subcommands of ``reelbench``, one module each, and the command line that calls them."""
