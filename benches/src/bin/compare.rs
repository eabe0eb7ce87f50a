//! All contenders over all cells, or a part of them: [`evenkeel_benches::compare`].

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_benches::compare::run(std::env::args().skip(1))
}
