"""Drive: sends the planned jobs, from the composition of a run down to one job."""
