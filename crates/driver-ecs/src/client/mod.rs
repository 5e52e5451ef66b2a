//! The calls to AWS: only what is under here names its SDK.

mod artifacts;
mod surroundings;

pub(crate) use self::surroundings::Surroundings;
