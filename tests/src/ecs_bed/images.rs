//! Images out of nothing but a static program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::Result;
use crate::servers::{Engine, static_busybox};

/// Answers each request on `PORT` with the version. While another version has the port it waits: during a rollout both
/// run, on one machine.
const SERVE: &str = r#"#!/busybox sh
trap 'kill "$child" 2>/dev/null; exit 0' TERM
while :; do
    /busybox httpd -f -p "127.0.0.1:$PORT" -h /www &
    child=$!
    wait "$child"
    /busybox sleep 0.05
done
"#;

/// Dies a moment after its start.
const CRASH: &str = "#!/busybox sh\necho 'there is no configuration' >&2\n/busybox sleep 0.2\nexit 1\n";

/// The versions that there are images of.
pub(super) const VERSIONS: [&str; 4] = ["v1", "v2", super::BROKEN, super::CRASHING];

/// The name of a version's image before it is pushed anywhere.
pub(super) fn local(version: &str) -> String {
    format!("rollback-bed:{version}")
}

/// Makes all of them.
pub(super) fn make(engine: &Engine) -> Result<()> {
    let busybox = static_busybox()?;
    for version in VERSIONS {
        let folder = tempfile::tempdir()?;
        let script = if version == super::CRASHING { CRASH } else { SERVE };
        place(&busybox, folder.path(), script, version)?;
        engine.import(folder.path(), &local(version), &["/start"])?;
    }
    Ok(())
}

fn place(busybox: &Path, folder: &Path, script: &str, version: &str) -> Result<()> {
    fs::copy(busybox, folder.join("busybox"))?;
    fs::write(folder.join("start"), script)?;
    for program in ["busybox", "start"] {
        fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755))?;
    }
    fs::create_dir(folder.join("www"))?;
    if version != super::BROKEN {
        fs::write(folder.join("www/index.html"), version)?;
    }
    Ok(())
}
