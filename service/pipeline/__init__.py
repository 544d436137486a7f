"""Stages of a job, and the worker processes that read uploads, encode videos and make their previews."""
