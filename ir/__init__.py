"""The graph and all it is made of: types, sizes, locations, errors, ops, text form, verifier, interpreter."""
