//! Runs a grid of settings and seeds.
