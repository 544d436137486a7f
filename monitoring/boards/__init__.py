"""The dashboards, each a table of panels."""
