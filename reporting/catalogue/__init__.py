"""Declared data of the reports: indicators and prices, strictly read."""
