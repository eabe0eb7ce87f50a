//! Says which compiler the program is from: instructions depend on it.

use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rustc = std::env::var_os("RUSTC").ok_or("cargo says which compiler it is")?;
    let version = Command::new(rustc).arg("--version").output()?;
    let version = String::from_utf8(version.stdout)?;
    // `rustc 1.90.0 (…)`
    let version = version.split(' ').nth(1).ok_or("rustc has a version")?;
    let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    println!("cargo::rustc-env=GUARD_RUSTC={minor}");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
