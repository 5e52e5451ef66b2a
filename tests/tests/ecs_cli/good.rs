//! What goes well.

use rollback_tests::Result;
use serde_json::json;

use crate::bed::Bed;

#[test]
fn explore() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    for line in ["status", "history web", "check", "plan web --to previous --explain", "plan web --to previous --output json"] {
        bed.cloud.forget_calls();
        let ran = bed.run(line)?;
        eprintln!("=== {line}\n{ran}\n{:?}", bed.calls());
    }
    bed.cloud.forget_calls();
    let ran = bed.run("run web --to previous --yes --reason x")?;
    eprintln!("=== run\n{ran}\n{:?}", bed.calls());
    bed.cloud.forget_calls();
    let ran = bed.run("status")?;
    eprintln!("=== run\n{ran}\n{:?}", bed.calls());
    Ok(())
}
