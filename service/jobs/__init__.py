"""Jobs from admission to end: the queue, its workers, reads of jobs, and the audit of what they leave behind."""
