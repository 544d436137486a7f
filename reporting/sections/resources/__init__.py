"""The sections of the resources report."""
