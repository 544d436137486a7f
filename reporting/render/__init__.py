"""Renderers: reports and results as Markdown, HTML, LaTeX, CSV, JUnit XML and figures, without judgement."""
