//! The program as its users meet it: results, files, errors and exit statuses.

mod arrays;
mod browser;
mod calibration;
mod data;
mod device;
mod errors;
mod evaluation;
mod graph;
mod inputs;
mod program;
mod resume;
mod semi_supervised;
mod stability;
mod tabular;
mod training;
mod vision;
