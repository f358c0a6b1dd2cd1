"""Other people's wire formats: each a fold over the events of an answer, one file a format, without HTTP."""
