//! The sum of a profile of callgrind, without what is not the program's doing.
//!
//! What the C library's allocator does for an allocation depends on all that were made before:
//! the same call takes some hundred instructions more or less. So only the number of allocations
//! is held, and of the C library's instructions those that copy, fill and compare: what is large
//! and moved is in them.

use std::collections::HashMap;

/// Instructions in it.
///
/// # Errors
///
/// That it is none of callgrind's.
pub(crate) fn instructions(profile: &str) -> Result<u64, String> {
    let mut objects = Names::default();
    let mut functions = Names::default();
    let (mut of_libc, mut of_copies, mut of_callee) = (false, false, false);
    let mut sum = 0;
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            let object = objects.read(object);
            of_libc = object.contains("/libc.so") || object.contains("/libc-");
        } else if let Some(function) = line.strip_prefix("fn=") {
            let function = functions.read(function);
            of_copies = ["memcpy", "memmove", "memset", "memcmp"]
                .iter()
                .any(|copies| function.contains(copies));
        } else if let Some(object) = line.strip_prefix("cob=") {
            objects.read(object);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            functions.read(function);
        } else if line.starts_with("calls=") {
            // The next line has the costs of the function that is called, which has its own.
            of_callee = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            let callee = std::mem::take(&mut of_callee);
            if !callee && (!of_libc || of_copies) {
                // A line of the source, and what it cost.
                let cost = line.split(' ').nth(1).unwrap_or("0");
                sum += cost.parse::<u64>().map_err(|_| unknown(line))?;
            }
        }
    }
    if functions.0.is_empty() {
        return Err(unknown("no function"));
    }
    Ok(sum)
}

fn unknown(what: &str) -> String {
    format!("not a profile of callgrind: {what}")
}

/// Names are written once, with a number that stands for them from then on.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, &'a str>);

impl<'a> Names<'a> {
    fn read(&mut self, text: &'a str) -> &'a str {
        match text.split_once(' ') {
            Some((number, name)) if number.starts_with('(') => {
                self.0.insert(number, name);
                name
            }
            _ => self.0.get(text).copied().unwrap_or(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_is_left_out_and_copies_are_not() {
        let profile = "\
# callgrind format
positions: line
events: Ir
summary: 999

ob=(1) /usr/lib/libc.so.6
fl=(1) malloc.c
fn=(1) malloc
10 100
fn=(2) __memcpy_avx_unaligned
10 20
+3 3

ob=(2) /target/release/guard
fl=(2) steady.rs
fn=(3) guard::call
7 1000
cob=(1)
cfi=(1)
cfn=(1)
calls=5 10
7 100
* 5
-2 7
fi=(3) other.rs
4 30

ob=(1)
fn=(1)
11 500

totals: 999
";
        assert_eq!(instructions(profile), Ok(20 + 3 + 1000 + 5 + 7 + 30));
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        instructions("").unwrap_err();
        instructions("fn=(1) call\n7 many\n").unwrap_err();
    }
}
