"""The outside world: chat models and rerankers behind protocols."""
