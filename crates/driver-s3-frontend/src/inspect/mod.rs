//! What going back would mean, and what speaks against it.

mod archive;

pub(crate) use self::archive::inspect;
