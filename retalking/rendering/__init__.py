"""Second pass: timeline, plan, masks and paste-back."""
