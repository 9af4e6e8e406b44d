"""What is known of an artifact: its tags and manifests, what reaches what, resolving on demand."""
