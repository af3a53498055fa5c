//! The program as its users meet it: results, files, errors and exit statuses.

mod browser;
mod errors;
mod evaluation;
mod program;
mod resume;
mod training;
