"""What happens inside a local model: its tokens, hidden states, directions and probes (torch)."""
