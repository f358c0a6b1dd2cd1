"""What the index is: passages, vectors, terms, filters, fusion arithmetic, the manifest and the snapshot.

The only room that imports faiss and tantivy. Row numbers never leave it.
"""
