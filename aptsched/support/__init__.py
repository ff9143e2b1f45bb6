"""What every room uses: input checks, errors, whole files, interrupts, the few fast idioms for arrays."""
