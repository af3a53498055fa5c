//! The program as its users meet it: results, files, errors and exit statuses.

mod arrays;
mod browser;
mod data;
mod errors;
mod evaluation;
mod program;
mod resume;
mod semi_supervised;
mod stability;
mod tabular;
mod training;
