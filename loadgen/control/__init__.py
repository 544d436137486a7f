"""Control: faults, toggles and observation of the service through its admin endpoints."""
