"""Attacks on a training run: what they guess, and the lower bounds on epsilon that their guesses prove. No torch."""
