//! How the command is linked.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // A command is mostly started, and a quarter of that was the loader setting tens of thousands of pointers in tables of SDKs. At a fixed place
    // the linker sets them once, as for `kubectl` and other commands that are written in Go. What is lost is that the program's own code and
    // tables lie elsewhere at each start; its heap, stacks and libraries still do.
    let is_linux = target("OS") == "linux" && target("ENV") == "gnu";
    if is_linux && env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
        // The library that unwinds after a panic is small, and asked for at each start: it is taken in where the compiler has it.
        let is_native = env::var("HOST") == env::var("TARGET");
        if let Some(folder) = is_native.then(|| folder_of("libgcc_eh.a")).flatten() {
            println!("cargo::rustc-link-search=native={folder}");
            println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
        }
    }
}

/// Where the C compiler keeps one of its libraries.
fn folder_of(library: &str) -> Option<String> {
    let told = Command::new("cc").arg(format!("-print-file-name={library}")).output().ok()?;
    // It repeats the name alone if it knows no such file.
    let path = String::from_utf8(told.stdout).ok()?;
    let folder = Path::new(path.trim()).parent().filter(|folder| folder.is_absolute())?;
    Some(folder.to_str()?.to_owned())
}
