//! Blocking; for threads that may.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// A file that is longer is none of ours.
const MAX_LENGTH: u64 = 256 << 20;

/// `prefix` as the name of a file: what is not a letter, a digit or one of `._-` is `%` and its
/// code, so that no two prefixes have the same.
pub(super) fn name(prefix: &str) -> String {
    let mut name = String::new();
    for byte in prefix.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(byte.into()),
            // Not at the start, where it hides the file or names a folder.
            b'.' if !name.is_empty() => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name + ".json"
}

/// The text in the file; none when there is no file.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    let length = file.take(MAX_LENGTH + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > MAX_LENGTH) {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too long",
        ));
    }
    Ok(Some(text))
}

/// Replaces the file, and its folder if that is missing: whoever reads it, at whatever time and
/// after whatever crash, has the old text or the new one.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Other processes, and others in this one, may write the same file.
    let unique = format!("{}-{:08x}.tmp", std::process::id(), fastrand::u32(..));
    let temporary = path.with_extension(unique);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The first error is the one that matters.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename itself; not every file system can do that.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_has_a_file_of_its_own() {
        assert_eq!(name("prod/user-service/"), "prod%2Fuser-service%2F.json");
        assert_eq!(name("../x"), "%2E.%2Fx.json");
        assert_eq!(name("%2F"), "%252F.json");
        assert_ne!(name("a/"), name("a%2F"));
    }
}
