//! Hosts: SSH servers, Docker daemons, compose and a private registry, all of them real, with a project that runs.
//!
//! ```no_run
//! use rollback_tests::hosts::{BAD, Bed, Compose, GOOD, Setup};
//!
//! # fn a_case() -> rollback_tests::Result<()> {
//! let bed = Bed::start(Setup::hosts(2).compose(Compose::V2))?; // need(Bed::start(…))? in a case; v1 runs everywhere
//! let host = &bed.hosts[0];
//! host.deploy(BAD)?; // as a pipeline does: `latest` moves, then pull and up
//! let poller = host.poll()?;
//! // … ssh -F bed.ssh_config() host0, or host.ssh() for a client that is told all of it
//! host.front().cut();
//! let seen = poller.stop()?;
//! println!("{:?} {:?}", seen.downtime(), seen.versions);
//! println!("{:?}", host.containers()?);
//! assert_eq!(host.image_of("backend")?, bed.registry.image_id("backend", GOOD)?);
//! # Ok(())
//! # }
//! ```
//!
//! A host is a set of namespaces: processes, network, mounts, name. It has one disk of two gigabytes in memory, a home at `/home/deploy` with
//! the project in `app`, a user `deploy` who may use Docker and nothing more, and Docker at its usual socket. Nothing of it listens in the
//! network of the machine, and all of it ends with the test, whatever ends that. It needs root.

mod bed;
mod host;
mod images;
mod machine;
mod network;
mod poller;
mod project;
mod registry;

pub use self::bed::{Bed, Compose, Setup};
pub use self::host::{Host, SshAccess};
pub use self::images::{BAD, CRASHING, GOOD, OLDER, SICK, STUBBORN};
pub(crate) use self::network::enter;
pub use self::poller::{Asked, EVERY, Gap, Poller, Seen};
pub use self::registry::{PASSWORD, REGISTRY, Registry, USER};
