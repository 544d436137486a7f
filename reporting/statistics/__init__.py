"""Statistics of plain numbers: intervals, trends, tests, censoring, and laws of queues."""
