//! The ways in which a site can be put back, one file each. All of them are pure.

mod archive_copy;
mod object_versions;
#[cfg(test)]
mod tests;

pub use self::archive_copy::ArchiveCopy;
pub use self::object_versions::ObjectVersions;
