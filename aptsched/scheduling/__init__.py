"""The interface of policies: forms of cache, view, plan and its check, and predicted iteration times."""
