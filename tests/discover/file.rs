use std::fs;
use std::path::Path;
use std::time::Duration;

use evenkeel_discover::{FileConfig, FileDiscover};
use evenkeel_testkit::within;
use futures_util::StreamExt;

use crate::said::{next, some, until};

/// Looks for itself so seldom that a test sees only what the system tells.
fn told() -> FileConfig {
    FileConfig {
        debounce: Duration::from_millis(10),
        poll_every: Duration::from_secs(3600),
        ..FileConfig::default()
    }
}

/// Looks for itself.
fn polled() -> FileConfig {
    FileConfig {
        poll_every: Duration::from_millis(10),
        ..told()
    }
}

/// As a careful writer does: nobody sees half of it.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn the_list_follows_the_file_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.yaml");
    fs::write(&path, "endpoints: [10.0.0.1:1]").unwrap();
    let mut source = FileDiscover::watch(&path, told());
    assert_eq!(next(&mut source).await, "+10.0.0.1:1");
    fs::write(&path, "endpoints: [10.0.0.1:1, 10.0.0.2:1]").unwrap();
    // Written in place: it may be seen while it is empty.
    until(&mut source, "+10.0.0.2:1").await;
    replace(&path, "endpoints: [10.0.0.2:1]");
    assert_eq!(next(&mut source).await, "-10.0.0.1:1", "renamed over");
    replace(&path, "endpoints: []");
    let gone = some(&mut source, 2).await;
    let empty = format!("file {} has no endpoints", path.display());
    assert_eq!(gone, ["-10.0.0.2:1".to_owned(), empty]);
}

#[tokio::test]
async fn a_file_that_is_wrong_keeps_the_list_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.json");
    replace(&path, r#"{"endpoints": ["10.0.0.1:1"]}"#);
    let mut source = FileDiscover::watch(&path, told());
    assert_eq!(next(&mut source).await, "+10.0.0.1:1");
    replace(&path, "{\"endpoints\":\n [\"10.0.0.");
    let report = next(&mut source).await;
    assert!(report.contains("endpoints.json unavailable"), "{report}");
    assert!(report.contains("line 2 column"), "{report}");
    replace(&path, "");
    let report = next(&mut source).await;
    assert!(report.ends_with("it is empty"), "{report}");
    replace(&path, r#"{"endpoints": ["10.0.0.1:1"]}"#);
    assert_eq!(next(&mut source).await, "+10.0.0.1:1", "well again");
}

#[tokio::test]
async fn a_file_and_its_folder_may_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("conf");
    let path = inner.join("endpoints.yaml");
    let mut source = FileDiscover::watch(&path, polled());
    let report = next(&mut source).await;
    assert!(
        report.contains("it cannot be read: No such file"),
        "{report}"
    );
    for address in ["10.0.0.1:1", "10.0.0.2:1"] {
        fs::create_dir(&inner).unwrap();
        replace(&path, &format!("endpoints: [{address}]"));
        assert_eq!(next(&mut source).await, format!("+{address}"));
        if address == "10.0.0.2:1" {
            assert_eq!(next(&mut source).await, "-10.0.0.1:1");
        }
        fs::remove_dir_all(&inner).unwrap();
        let report = next(&mut source).await;
        assert!(report.contains("it cannot be read"), "{report}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_config_map_is_swapped_by_its_link() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, host) in [("..v1", 1), ("..v2", 2)] {
        fs::create_dir(at(version)).unwrap();
        let text = format!("services: {{user: [10.0.0.{host}:1]}}");
        fs::write(at(version).join("endpoints.yaml"), text).unwrap();
    }
    symlink("..v1", at("..data")).unwrap();
    symlink("..data/endpoints.yaml", at("endpoints.yaml")).unwrap();
    let config = FileConfig {
        service: Some("user".to_owned()),
        ..told()
    };
    let mut source = FileDiscover::watch(at("endpoints.yaml"), config);
    assert_eq!(next(&mut source).await, "+10.0.0.1:1");
    symlink("..v2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert_eq!(some(&mut source, 2).await, ["+10.0.0.2:1", "-10.0.0.1:1"]);
}

#[tokio::test]
async fn a_file_that_is_written_as_it_was_is_no_news() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.yaml");
    replace(&path, "endpoints: [10.0.0.1:1]");
    let mut source = FileDiscover::watch(&path, polled());
    next(&mut source).await;
    for _ in 0..3 {
        replace(&path, "endpoints: [10.0.0.1:1] # again");
        replace(&path, "endpoints: [10.0.0.1:1]");
    }
    replace(&path, "endpoints: [10.0.0.1:1, 10.0.0.2:1]");
    let first = within("something new", source.next()).await;
    assert!(first.unwrap().is_ok());
}
