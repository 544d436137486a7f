"""The sections of the reports, one function each; `build.py` names them in the order of each report."""
