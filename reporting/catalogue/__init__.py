"""Declared data of the reports: indicators, metrics, spans and prices, strictly read."""
