//! What ECS does in the double, asked as its API is asked.

mod blue_green;
mod controllers;
mod faults;
mod rolling;
mod stopping;
mod support;
mod task_definitions;
mod tasks;
