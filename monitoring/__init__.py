"""Generators of dashboards, rules and their pages, used at development time only."""
