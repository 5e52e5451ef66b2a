//! How the command is linked.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // A command is mostly started, and a quarter of that was the loader setting tens of thousands of pointers in tables of SDKs. At a fixed place
    // the linker sets them once, as for `kubectl` and other commands that are written in Go. What is lost is that the program's own code and
    // tables lie elsewhere at each start; its heap, stacks and libraries still do.
    let is_linux = target("OS") == "linux" && target("ENV") == "gnu";
    if is_linux && env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
