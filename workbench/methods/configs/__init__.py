"""The configuration of each method, in a module of the method's name. None of them imports torch."""
