"""Group `identifier_swaps`: examples out of Python sources, what models say of them, and how that goes with size."""
