//! The program as its users meet it: results, files, errors and exit statuses.

mod arrays;
mod browser;
mod data;
mod errors;
mod evaluation;
mod graph;
mod program;
mod resume;
mod training;
