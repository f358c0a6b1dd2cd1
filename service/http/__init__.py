"""The edge: routes, wire formats, server-sent events, problem responses, health."""
