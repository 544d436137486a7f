"""The report as data: sections, tables and charts, the text in their cells, and links into Grafana."""
