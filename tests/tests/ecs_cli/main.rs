//! The command against services of ECS, as the scripted double of AWS plays them.

mod bad;
mod bed;
mod good;
mod native;
