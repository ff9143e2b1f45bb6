"""What a policy sees and says: forms of cache, view, plan and its check, what an iteration is believed to take."""
