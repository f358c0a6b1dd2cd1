"""How a question is answered from a snapshot: retrieve, fuse, rerank, generate, ground. Online, on a budget."""
