//! Burn modules of the losses; the only library crate with Burn types in its API.
