"""HTTP on a session: OpenAI's interface, metrics, and a page on which it is watched."""
