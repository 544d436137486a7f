"""The instrumented text-to-video service, its mock providers and their fault plans."""
