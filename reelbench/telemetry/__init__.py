"""OpenTelemetry of every process: its set-up, declared metrics, the scraped text and the file of spans."""
