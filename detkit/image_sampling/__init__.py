"""How often each training image appears in an epoch."""
