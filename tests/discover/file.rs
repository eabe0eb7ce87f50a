use std::fs;
use std::path::Path;
use std::time::Duration;

use evenkeel_discover::{FileConfig, FileDiscover};
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
    assert_eq!(next(&mut source).await, "+10.0.0.2:1");
}

#[tokio::test]
async fn a_list_that_is_written_bit_by_bit_counts_when_it_is_whole() {
    use std::io::Write;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.yaml");
    let whole = "endpoints:\n- 10.0.0.1:8090\n- 10.0.0.2:8090\n";
    fs::write(&path, whole).unwrap();
    // Long enough for a writer that is not given a core for a while.
    let config = FileConfig {
        debounce: Duration::from_millis(300),
        ..FileConfig::default()
    };
    let mut source = FileDiscover::watch(&path, config);
    some(&mut source, 2).await;
    let mut file = fs::File::create(&path).unwrap();
    let new = format!("{whole}- 10.0.0.3:8090\n");
    for bit in new.as_bytes().chunks(8) {
        file.write_all(bit).unwrap();
        // Whatever is seen in between is not believed.
        assert!(futures_util::poll!(source.next()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut source).await, "+10.0.0.3:8090");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_swapped_is_watched_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = at("conf").join("endpoints.yaml");
    for (name, host) in [("conf", 1), ("conf.new", 2)] {
        fs::create_dir(at(name)).unwrap();
        let text = format!("endpoints: [10.0.0.{host}:1]");
        fs::write(at(name).join("endpoints.yaml"), text).unwrap();
    }
    // Nobody may look while there is no folder, though this is not given a core for a while.
    let config = FileConfig {
        debounce: Duration::from_millis(300),
        ..told()
    };
    let mut source = FileDiscover::watch(&path, config);
    assert_eq!(next(&mut source).await, "+10.0.0.1:1");
    fs::rename(at("conf"), at("conf.old")).unwrap();
    fs::rename(at("conf.new"), at("conf")).unwrap();
    assert_eq!(some(&mut source, 2).await, ["+10.0.0.2:1", "-10.0.0.1:1"]);
    replace(&path, "endpoints: [10.0.0.3:1]");
    assert_eq!(some(&mut source, 2).await, ["+10.0.0.3:1", "-10.0.0.2:1"]);
}
