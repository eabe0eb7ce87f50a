//! Evenkeel's layers over endpoints that do nothing, as the program `stack_calls` measures them.

use std::fs;
use std::process::Command;

use super::Run;
use super::build::{cargo, output};
use super::count::total;
use super::folder;
use crate::results::Layer;

const FEW: u64 = 2_000;
const MANY: u64 = 6_000;
const NAME: &str = "layers";

impl Run<'_> {
    pub(super) fn layers(&mut self) {
        match self.measure_layers() {
            Ok(layers) => self.results.layers = layers,
            Err(reason) => self.skip(NAME, "everything", reason),
        }
    }

    fn measure_layers(&mut self) -> Result<Vec<Layer>, String> {
        eprintln!("measuring layers");
        let manifest = folder().join("Cargo.toml");
        let program = cargo(&manifest, "evenkeel-benches", "stack_calls")?;
        let json = output(&mut Command::new(&program))?;
        let mut layers: Vec<Layer> =
            serde_json::from_str(&json).map_err(|error| error.to_string())?;
        let profiles = self.options.profiles();
        fs::create_dir_all(&profiles).map_err(|error| error.to_string())?;
        for layer in &mut layers {
            let count = |calls: u64| {
                let name = layer.name.replace([' ', ','], "_");
                let profile = profiles.join(format!("layers.{name}.{calls}"));
                let mut file = std::ffi::OsString::from("--callgrind-out-file=");
                file.push(&profile);
                let mut valgrind = Command::new("valgrind");
                valgrind.args(["--quiet", "--tool=callgrind"]).arg(file);
                valgrind
                    .arg(&program)
                    .arg(&layer.name)
                    .arg(calls.to_string());
                output(&mut valgrind)?;
                total(&profile)
            };
            match count(FEW).and_then(|few| Ok((few, count(MANY)?))) {
                Ok((few, many)) => {
                    layer.instructions = Some((many - few) as f64 / (MANY - FEW) as f64);
                }
                Err(reason) => {
                    self.skip(NAME, "instructions", reason);
                    break;
                }
            }
        }
        Ok(layers)
    }
}
