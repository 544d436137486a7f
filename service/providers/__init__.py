"""Mock LLM, TTS and image servers in the format of the OpenAI API, with latencies and faults."""
