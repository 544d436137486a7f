"""The files of a run: records, their readers and writers."""
