"""What the control plane keeps: tables, the database they live in, resource names."""
