"""Written English as it is said: pure functions from text to text, before anything is known of phonemes."""
