"""Skills: what an agent keeps from one task for the next, as code that ran or as text that helped."""
