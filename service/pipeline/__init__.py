"""Stages of a job, and the worker processes that read documents and encode videos."""
